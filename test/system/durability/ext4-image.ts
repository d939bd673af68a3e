/**
 * A small ext4 file system in a file, whose power can be cut: EXT4_IOC_SHUTDOWN without flushing the journal drops what
 * was not synced, exactly as a power cut of a disk without a volatile cache would; from then on everything returns EIO.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';

/** EXT4_IOC_SHUTDOWN = _IOR('X', 125, u32), flag 2 = NOLOGFLUSH. Perl, because Debian always has it. */
const cutProgram = `
  open(my $mount, "<", $ARGV[0]) or die "open: $!";
  sysread(STDIN, my $byte, 1) or exit 0;
  my $flag = pack("L", 2);
  ioctl($mount, 0x8004587d, $flag) or die "ioctl: $!";
`;

export class Ext4Image {
  /** Where it is mounted. */
  readonly path: string;
  readonly #directory: string;
  readonly #image: string;
  #mounted = false;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#image = join(directory, 'image');
    this.path = join(directory, 'mount');
  }

  static create(megabytes: number): Ext4Image {
    const image = new Ext4Image(mkdtempSync(join(tmpdir(), 'sluice-ext4-')));
    mkdirSync(image.path);
    writeFileSync(image.#image, '');
    truncateSync(image.#image, megabytes * 2 ** 20);
    // no reserved blocks: root must see the same full disk as everybody else
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image.#image]);
    image.mount();
    return image;
  }

  mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.path]);
    this.#mounted = true;
  }

  unmount(): void {
    execFileSync('umount', [this.path]);
    this.#mounted = false;
  }

  /** Stands ready to cut the power. */
  cutter(): PowerCutter {
    return new PowerCutter(this.path);
  }

  destroy(): void {
    if (this.#mounted) execFileSync('umount', ['-l', this.path]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A process that cuts the power at once when it reads a byte; the victim may hold the other end. */
export class PowerCutter {
  readonly #child: ChildProcess;
  readonly #exited: Promise<readonly unknown[]>;

  constructor(path: string) {
    this.#child = spawn('perl', ['-e', cutProgram, path], { stdio: ['pipe', 'ignore', 'inherit'] });
    this.#exited = once(this.#child, 'exit');
    this.#child.stdin?.on('error', () => undefined); // cutting twice is fine
  }

  get trigger(): Writable {
    return this.#child.stdin!;
  }

  /** Cuts, unless the victim has already. */
  cut(): void {
    this.trigger.write('!');
  }

  /** Resolves once the power is off. */
  async done(): Promise<void> {
    const [code] = await this.#exited;
    if (code !== 0) throw new Error('the power could not be cut');
  }
}
