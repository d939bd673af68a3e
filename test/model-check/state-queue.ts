/** First in, first out, of states as packed integers; remembers how each was reached. */

const chunkInts = 2 ** 20;
/** [place of the predecessor's header, event that led here, depth, length], then the state. */
const headerInts = 4;

export class StateQueue {
  readonly #chunks: Int32Array[] = [];
  /** Integers written, and the place of the next state to take. */
  #end = 0;
  #next = 0;
  /** Header of the state that was taken last; -1: none. */
  #current = -1;
  #depth = 0;

  get depth(): number {
    return this.#depth;
  }

  /** Adds a successor of the state that was taken last. */
  add(state: readonly number[], via: number): void {
    const at = this.#end;
    const depth = this.#current === -1 ? 0 : this.#read(this.#current + 2) + 1;
    this.#depth = Math.max(this.#depth, depth);
    for (const value of [this.#current, via, depth, state.length]) this.#write(value);
    for (const value of state) this.#write(value);
    if (this.#current === -1 && at !== 0) throw new Error('only the first state has no predecessor');
  }

  take(): number[] | null {
    if (this.#next === this.#end) return null;
    this.#current = this.#next;
    const length = this.#read(this.#current + 3);
    const first = this.#current + headerInts;
    this.#next = first + length;
    return Array.from({ length }, (_, i) => this.#read(first + i));
  }

  /** The events that led to the state that was taken last. */
  wayHere(): number[] {
    const events: number[] = [];
    for (let at = this.#current; at > 0; at = this.#read(at)) events.push(this.#read(at + 1));
    return events.reverse();
  }

  #write(value: number): void {
    const chunk = Math.floor(this.#end / chunkInts);
    this.#chunks[chunk] ??= new Int32Array(chunkInts);
    this.#chunks[chunk][this.#end % chunkInts] = value;
    this.#end++;
  }

  #read(at: number): number {
    return this.#chunks[Math.floor(at / chunkInts)]![at % chunkInts]!;
  }
}
