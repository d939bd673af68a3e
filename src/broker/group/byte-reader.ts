import { assert, InvariantViolation } from '../../model/assert.ts';
import { ByteCursor } from '../../model/byte-cursor.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads what ByteWriter wrote. The bytes come from our own log, below its checksums, so whatever does not decode is a
 * broken invariant (group-6: stored forms decode completely).
 */
export class ByteReader {
  private readonly bytes: Uint8Array;
  private readonly cursor: ByteCursor;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.cursor = new ByteCursor(bytes);
  }

  byte(): number {
    const value = this.cursor.byte();
    this.check();
    return value;
  }

  int(): number {
    const value = this.cursor.varlong();
    this.check();
    return value;
  }

  nullableInt(): number | null {
    return this.byte() === 0 ? null : this.int();
  }

  text(): string {
    const length = this.int();
    const start = this.cursor.at;
    this.cursor.skip(length);
    this.check();
    return decoded(this.bytes.subarray(start, start + length));
  }

  list<T>(read: () => T): T[] {
    const count = this.int();
    assert(count >= 0 && count <= this.cursor.remaining, 'group-6: stored forms decode completely', `count ${count}`);
    return Array.from({ length: count }, read);
  }

  /** Asserts that nothing is left. */
  end(): void {
    assert(this.cursor.remaining === 0, 'group-6: stored forms decode completely', 'bytes are left over');
  }

  private check(): void {
    assert(!this.cursor.malformed, 'group-6: stored forms decode completely', 'bytes are missing');
  }
}

/** @throws InvariantViolation if it is not UTF-8 */
export function decoded(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new InvariantViolation('group-6: stored forms decode completely', 'not UTF-8');
  }
}
