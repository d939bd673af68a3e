/** Reads what strace wrote about one process: every change of a file under a directory, every sync, and its own output. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** System calls that can change what is on the disk. */
export const tracedCalls = [
  'openat,open,creat,write,writev,pwrite64,pwritev,fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat',
  'ftruncate,truncate,fallocate,mkdir,mkdirat,link,linkat,rmdir',
].join(',');

/** Longest string that is recorded whole; longer writes make the trace useless and are refused by the reader. */
const stringBytesMax = 4_000_000;

/** A command that runs another one and records it in `output`. */
export const traceCommand = (output: string): readonly string[] => [
  ...['strace', '-f', '--seccomp-bpf', '-y', '-xx', '-s', String(stringBytesMax), '-o', output],
  ...['-e', `trace=${tracedCalls}`, '-e', 'signal=none'],
];

/** Paths are relative to the directory that is followed; '' is the directory itself. */
export type TraceChange =
  | {
      readonly kind: 'open';
      readonly path: string;
      readonly fd: number;
      readonly creates: boolean;
      readonly truncates: boolean;
    }
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly fd: number;
      readonly data: Buffer;
      readonly offset: number | null;
    }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  | { readonly kind: 'sync'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'mkdir'; readonly path: string }
  | { readonly kind: 'said'; readonly text: string };

export interface TraceEvent {
  readonly change: TraceChange;
  /** Line on which the call was entered, and on which it returned. */
  readonly entered: number;
  readonly returned: number;
}

/** Calls that succeeded, in the order in which they returned. */
export async function readTrace(file: string, root: string): Promise<readonly TraceEvent[]> {
  const events: TraceEvent[] = [];
  const unfinished = new Map<string, { readonly text: string; readonly entered: number }>();
  let at = 0;
  for await (const line of createInterface({ input: createReadStream(file, 'latin1'), crlfDelay: Infinity })) {
    at++;
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (text.endsWith('<unfinished ...>')) {
      unfinished.set(thread, { text: text.slice(0, -'<unfinished ...>'.length), entered: at });
      continue;
    }
    const begun = text.startsWith('<... ') ? unfinished.get(thread) : undefined;
    const whole = begun === undefined ? text : begun.text + text.slice(text.indexOf('resumed>') + 'resumed>'.length);
    const change = parseCall(whole, root);
    if (change !== null) events.push({ change, entered: begun?.entered ?? at, returned: at });
  }
  return events;
}

function parseCall(text: string, root: string): TraceChange | null {
  const [, name, args = '', result = ''] = /^(\w+)\((.*)\)\s+= (-?\d+)/s.exec(text) ?? [];
  if (name === undefined || result.startsWith('-')) return null;
  const strings = [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)];
  if (name === 'write' && args.startsWith('1<')) return { kind: 'said', text: bytesOf(strings[0]?.[1]).toString() };
  const named = (position: number): string | null => within(root, bytesOf(strings[position]?.[1]).toString());
  const open = /^(\d+)<((?:\\x[0-9a-f]{2})+)>(\(deleted\))?/.exec(args);
  const opened = open === null || open[3] !== undefined ? null : within(root, bytesOf(open[2]).toString());
  const path = open === null ? named(0) : opened;
  if (path === null) return null;
  const fd = Number(open?.[1] ?? result);
  const numbers = args
    .slice(args.lastIndexOf('>') + 1)
    .split(', ')
    .map(Number);
  switch (name) {
    case 'open':
    case 'openat':
    case 'creat':
      return {
        kind: 'open',
        path,
        fd: Number(result),
        creates: args.includes('O_CREAT'),
        truncates: args.includes('O_TRUNC'),
      };
    case 'write':
    case 'writev':
    case 'pwrite64':
    case 'pwritev': {
      if (strings.some(([, , cut]) => cut !== undefined)) throw new Error('a write is longer than the trace records');
      const data = Buffer.concat(strings.map(([, hex]) => bytesOf(hex))).subarray(0, Number(result));
      const offset = name.startsWith('pwrite') ? Number(/, (\d+)$/.exec(args)?.[1]) : null;
      return { kind: 'write', path, fd, data, offset };
    }
    case 'fdatasync':
    case 'fsync':
      return { kind: 'sync', path };
    case 'ftruncate':
      return { kind: 'truncate', path, size: numbers.at(-1)! };
    case 'fallocate':
      if (!args.includes('FALLOC_FL_KEEP_SIZE')) throw new Error(`not modelled: ${text.slice(0, 200)}`);
      return null; // space only, no content
    case 'rename':
      return { kind: 'rename', path, to: named(1) ?? '' };
    case 'unlink':
      return { kind: 'unlink', path };
    case 'mkdir':
      return { kind: 'mkdir', path };
    default:
      throw new Error(`not modelled: ${text.slice(0, 200)}`);
  }
}

const bytesOf = (hex = ''): Buffer => Buffer.from(hex.replaceAll('\\x', ''), 'hex');

function within(root: string, path: string): string | null {
  if (path === root) return '';
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1) : null;
}
