/** What the parent tells the victim, as one JSON argument, and what the victim says, a line each. */
export interface VictimOptions {
  readonly path: string;
  /** `none`: nothing is synced. `current`: only the current write-ahead file, as a naive store would. */
  readonly sync: 'live' | 'none' | 'current';
  readonly writeBufferBytes: number;
  /** Compacts all the time beside the load. */
  readonly reclaim: boolean;
  /** Calls of `write` that wait at the same time. */
  readonly inFlight: number;
  /** Stops after this number; null: never. */
  readonly stopAfter: number | null;
  /** How it stops: orderly, or by kill -9 with calls in flight. */
  readonly end: 'close' | 'kill';
  /** Numbers that are kept before older ones are trimmed away. */
  readonly keep: number;
  /** Asks the disk reserve before each write; null: does not. */
  readonly reserve: { readonly softBytes: number; readonly hardBytes: number; readonly ballastBytes: number } | null;
  /** Writes a byte to descriptor 3 as soon as this has happened: cuts the power. */
  readonly cutOn: 'nothing' | 'switch';
}

export type VictimSays =
  | { readonly kind: 'opened'; readonly state: string; readonly next: number }
  /** All numbers up to this one are durable, says the store. */
  | { readonly kind: 'acked'; readonly number: number }
  /** All numbers below this one are deleted, says the store. */
  | { readonly kind: 'trimmed'; readonly number: number }
  /** The reserve refused. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'fault'; readonly message: string }
  | { readonly kind: 'done' };

const letters = { opened: 'o', acked: 'a', trimmed: 't', refused: 'r', fault: 'f', done: 'd' } as const;

export function encodeLine(says: VictimSays): string {
  const rest = Object.entries(says)
    .filter(([key]) => key !== 'kind')
    .map(([, value]) => String(value).replaceAll('\n', ' '));
  return `${[letters[says.kind], ...rest].join(' ')}\n`;
}

export function decodeLine(line: string): VictimSays | null {
  const [letter, ...rest] = line.split(' ');
  switch (letter) {
    case 'o':
      return { kind: 'opened', state: rest[0]!, next: Number(rest[1]) };
    case 'a':
      return { kind: 'acked', number: Number(rest[0]) };
    case 't':
      return { kind: 'trimmed', number: Number(rest[0]) };
    case 'r':
      return { kind: 'refused' };
    case 'f':
      return { kind: 'fault', message: rest.join(' ') };
    case 'd':
      return { kind: 'done' };
    case undefined:
    default:
      return null;
  }
}
