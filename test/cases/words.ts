/** Reads a command word by word; what is missing, or left over, is an error that says so. */
export class Words {
  #words: string[];
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.#words = text.split(/\s+/).filter((word) => word !== '');
  }

  next(what: string): string {
    const word = this.#words.shift();
    if (word === undefined) throw new Error(`${what} is missing: ${this.#text}`);
    return word;
  }

  /** The next word as an id or a count. */
  integer(what: string): number {
    const value = Number(this.next(what));
    if (!Number.isSafeInteger(value)) throw new Error(`${what} is no number: ${this.#text}`);
    return value;
  }

  /** The word after `name`, which must come next. */
  after(name: string): string {
    if (this.next(name) !== name) throw new Error(`${name} is missing: ${this.#text}`);
    return this.next(name);
  }

  /** The number after `name`, which must come next. */
  number(name: string): number {
    return Number(this.after(name));
  }

  /** True if the next word is `name`, which is then taken. */
  flag(name: string): boolean {
    if (this.#words[0] !== name) return false;
    this.#words.shift();
    return true;
  }

  /** Every number that comes next. */
  integers(): number[] {
    const numbers: number[] = [];
    while (/^\d+$/.test(this.#words[0] ?? '')) numbers.push(Number(this.#words.shift()));
    return numbers;
  }

  /** `name=value` words, wherever they stand. */
  options(): Partial<Record<string, string>> {
    const options = this.#words.filter((word) => word.includes('='));
    this.#words = this.#words.filter((word) => !word.includes('='));
    return Object.fromEntries(options.map((word) => word.split('=', 2) as [string, string]));
  }

  /** Everything that is left, as one text. */
  rest(): string {
    return this.#words.splice(0).join(' ');
  }

  /** Every word that is left. */
  all(): string[] {
    return this.#words.splice(0);
  }

  end(): void {
    if (this.#words.length > 0) throw new Error(`not understood: ${this.#words.join(' ')} (in: ${this.#text})`);
  }
}
