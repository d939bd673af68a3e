/** Numbers between generated messages and the model (design D20): inside they are safe integers. */

/** A field of a peer's message has a value that no field of its kind can have. Caught where the frame is read. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
}

/** A number from 0 to `max`. @throws FieldError */
export function numberOf(value: bigint, max = Number.MAX_SAFE_INTEGER): number {
  if (value < 0n || value > BigInt(max)) throw new FieldError(`${value} is out of range`);
  return Number(value);
}

/** What must be there in a message of this kind. @throws FieldError */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new FieldError(`${what} is missing`);
  return value;
}
