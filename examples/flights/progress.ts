/** Two progress bars on a terminal; a line every second where there is none. */
const width = 32;

export interface Side {
  readonly label: string;
  readonly total: number;
  done: number;
  /** What is going on, for people. */
  note: string;
}

export class Progress {
  readonly #sides: readonly Side[];
  readonly #timer: NodeJS.Timeout;
  readonly #terminal = process.stdout.isTTY;
  #drawn = false;

  constructor(sides: readonly Side[]) {
    this.#sides = sides;
    this.#timer = setInterval(() => this.#draw(), this.#terminal ? 100 : 1000);
  }

  /** Prints a line above the bars. */
  say(text: string): void {
    if (this.#terminal && this.#drawn) process.stdout.write(`\u001b[${this.#sides.length}A\u001b[J`);
    this.#drawn = false;
    process.stdout.write(`${text}\n`);
    if (this.#terminal) this.#draw();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#draw();
  }

  #draw(): void {
    if (this.#terminal && this.#drawn) process.stdout.write(`\u001b[${this.#sides.length}A`);
    if (this.#terminal) for (const side of this.#sides) process.stdout.write(`\u001b[2K${bar(side)}\n`);
    else process.stdout.write(`${this.#sides.map(bar).join('   ')}\n`);
    this.#drawn = true;
  }
}

function bar({ label, total, done, note }: Side): string {
  const filled = Math.min(width, Math.round((done / total) * width));
  const percent = String(Math.floor((done / total) * 100)).padStart(3);
  return `${label.padEnd(9)}[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${percent} % ${done.toLocaleString('en')} ${note}`;
}
