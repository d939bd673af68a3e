// Takes from node_modules and dist what a broker on this platform never reads: binaries for other platforms, types, source
// maps and the workspace's own link. Run in the image's build only, in the folder that is to become smaller.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

const unread = /\.(d\.[cm]?ts|map|md|markdown)$|(^|\/)(CHANGELOG|\.github)(\/|$)/;

for (const folder of ['node_modules', 'dist']) {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && unread.test(file)) rmSync(file);
  }
}

const prebuilds = 'node_modules/rocksdb-native/prebuilds';
const own = `${process.platform}-${process.arch}`;
if (!existsSync(path.join(prebuilds, own))) throw new Error(`rocksdb-native has no binary for ${own}`);
for (const name of readdirSync(prebuilds)) if (name !== own) rmSync(path.join(prebuilds, name), { recursive: true });
rmSync('node_modules/@sluice', { recursive: true, force: true });
