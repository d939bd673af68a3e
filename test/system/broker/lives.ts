/** The lives of one data directory: a broker runs under load until something ends it, then the next one is audited. */
import type { SeededChance } from '../durability/random.ts';
import { addTo, audit, isClean, nothingFound } from './audit.ts';
import { BrokerProcess, freePort } from './broker-process.ts';
import { Ledger } from './ledger.ts';
import { Load } from './load.ts';

export interface LivesOptions {
  readonly dataDir: string;
  readonly chance: SeededChance;
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly partitions?: number;
  readonly churn?: boolean;
}

export class Lives {
  readonly ledger = new Ledger();
  readonly findings = nothingFound();
  readonly problems: string[] = [];
  readonly load: Load;
  readonly address: string;
  readonly #options: LivesOptions;
  readonly #port: number;
  #broker: BrokerProcess;

  /** Founds the directory; the load is ready and paused. */
  static async begin(options: LivesOptions): Promise<Lives> {
    const port = await freePort();
    const { dataDir, settings = {}, chance, partitions = 3, churn = true } = options;
    const broker = new BrokerProcess({ dataDir, port, settings });
    if (!(await broker.ready())) throw new Error(`the broker does not start: ${broker.lastWords}`);
    const address = `127.0.0.1:${port}`;
    const ledger = new Ledger();
    const load = await Load.start({ address, ledger, chance, partitions, churn });
    return new Lives(options, port, broker, ledger, load);
  }

  private constructor(options: LivesOptions, port: number, broker: BrokerProcess, ledger: Ledger, load: Load) {
    this.#options = options;
    this.#port = port;
    this.#broker = broker;
    this.ledger = ledger;
    this.load = load;
    this.address = `127.0.0.1:${port}`;
  }

  get broker(): BrokerProcess {
    return this.#broker;
  }

  /** Starts a process on the directory; whether it serves is for the caller to wait for. */
  start(prefix: readonly string[] = []): BrokerProcess {
    const { dataDir, settings = {} } = this.#options;
    this.#broker = new BrokerProcess({ dataDir, port: this.#port, settings, prefix });
    return this.#broker;
  }

  /** The next broker: it must serve, and hold what was promised. Returns whether it does. */
  async restart(label: string, prefix: readonly string[] = []): Promise<boolean> {
    const broker = this.start(prefix);
    if (!(await broker.ready())) {
      this.problems.push(`${label}: the broker does not start: ${broker.lastWords}`);
      return false;
    }
    return this.check(label);
  }

  /** Audits the broker that runs. */
  async check(label: string): Promise<boolean> {
    const found = await audit(this.ledger, this.load.client, this.load.door);
    addTo(this.findings, found);
    if (isClean(found)) return true;
    this.problems.push(`${label}: ${JSON.stringify(found)}`);
    return false;
  }

  /** What is retried gets through; then the last audit, in which every idempotent record must have been acknowledged. */
  async finish(label: string): Promise<void> {
    if (!(await this.load.finish())) this.problems.push(`${label}: the producers did not get through`);
    await this.check(label);
    const books = this.ledger.topics.flatMap(({ partitions }) => partitions);
    const open = books.flatMap((book) => [...book.records.values()]).filter(({ outcome }) => outcome === 'open');
    if (open.length > 0) this.problems.push(`${label}: ${open.length} records were never answered`);
  }

  async end(): Promise<void> {
    this.load.stop();
    await this.#broker.kill();
  }
}
