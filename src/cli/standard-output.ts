/**
 * Standard output for data. Writes go to the file descriptor by a thread of libuv's pool, not through process.stdout:
 * that one blocks the whole process while a pipe is full, and a consumer that can not send heartbeats loses its place in
 * the group because somebody scrolls in `less`.
 */
import { write } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { OutputClosed } from './command-error.ts';

const descriptor = 1;
/** Pause before writing again to a terminal or pipe that takes nothing for now. */
const fullPauseMs = 5;

let writesInFlight = 0;

/** Whether a write waits for a reader that does not read. */
export const hasStuckWrite = (): boolean => writesInFlight > 0;

/** One write(2): how many bytes it took. */
function writeSome(bytes: Uint8Array, from: number): Promise<number> {
  writesInFlight += 1;
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, from, bytes.length - from, null, (error, written) => {
      writesInFlight -= 1;
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

/** Null: standard output. */
let listener: ((bytes: Uint8Array) => void) | null = null;

/** For tests that run commands in their own process: hands the data to `heard` instead; null: as before. */
export function redirectOutput(heard: ((bytes: Uint8Array) => void) | null): void {
  listener = heard;
}

/** Resolves when the operating system has taken every byte. Rejects with OutputClosed if the reader is gone. */
export async function writeOut(data: Uint8Array | string): Promise<void> {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  if (listener !== null) {
    listener(bytes);
    return;
  }
  let written = 0;
  while (written < bytes.length) {
    try {
      written += await writeSome(bytes, written);
    } catch (error) {
      if (codeOf(error) === 'EPIPE') throw new OutputClosed('standard output is closed', { cause: error });
      if (codeOf(error) !== 'EAGAIN') throw error;
      await delay(fullPauseMs);
    }
  }
}

/** A line for people, on standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
