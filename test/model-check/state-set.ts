/** A set of states by 64 bits of hash: 10 million states collide somewhere with a chance of about 3 in a million. */
export class StateSet {
  /** Two words a place; both 0: free. Always a power of two places. */
  #words: Uint32Array;
  #size = 0;

  constructor(places = 2 ** 20) {
    this.#words = new Uint32Array(2 * places);
  }

  get size(): number {
    return this.#size;
  }

  /** True: it was not there yet. */
  add(state: readonly number[]): boolean {
    let low = 0x9e3779b9;
    let high = 0x85ebca6b;
    for (const value of state) {
      low = Math.imul(low ^ value, 0xcc9e2d51);
      low = (low << 15) | (low >>> 17);
      high = Math.imul(high + value, 0x1b873593) ^ low;
      high = (high << 13) | (high >>> 19);
    }
    low = mixed(low ^ state.length);
    high = mixed(high + low);
    if ((low | high) === 0) low = 1;
    if (this.#size * 4 > this.#words.length) this.#grow();
    if (!insert(this.#words, low >>> 0, high >>> 0)) return false;
    this.#size++;
    return true;
  }

  #grow(): void {
    const old = this.#words;
    this.#words = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += 2) {
      const [low, high] = [old[at]!, old[at + 1]!];
      if ((low | high) !== 0) insert(this.#words, low, high);
    }
  }
}

function insert(words: Uint32Array, low: number, high: number): boolean {
  const mask = words.length / 2 - 1;
  for (let place = low & mask; ; place = (place + 1) & mask) {
    const [a, b] = [words[2 * place]!, words[2 * place + 1]!];
    if ((a | b) === 0) {
      words[2 * place] = low;
      words[2 * place + 1] = high;
      return true;
    }
    if (a === low && b === high) return false;
  }
}

function mixed(value: number): number {
  let mix = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return mix ^ (mix >>> 16);
}
