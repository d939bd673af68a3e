/** Clients as they should be: each sends a small record, waits until it is durable, rests, and another one reads it. */
import { Client } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { wait } from '../broker/patience.ts';
import { Latencies } from './latencies.ts';

const clientsCount = 32;
const restMs = 100;
const valueBytes = 1_024;

export interface Measured {
  /** From `send` until it is acknowledged, refusals and retries included. */
  readonly produce: Latencies;
  /** Records that were given up, by code. */
  readonly failed: Map<string, number>;
}

/** Runs them for a time. */
export async function runWellBehaved(
  address: string,
  topic: string,
  partitions: number,
  forMs: number,
): Promise<Measured> {
  const measured: Measured = { produce: new Latencies(), failed: new Map() };
  const clients = Array.from({ length: clientsCount }, () => new Client({ brokers: [address] }));
  const untilMs = performance.now() + forMs;
  const one = async (client: Client, nth: number): Promise<void> => {
    const producer = client.producer();
    const value = Buffer.alloc(valueBytes, nth);
    for (let n = 0; performance.now() < untilMs; n++) {
      const startMs = performance.now();
      try {
        await producer.send(topic, { value, partition: (nth + n) % partitions });
        measured.produce.add(performance.now() - startMs);
      } catch (error) {
        const { code } = asBrokerError(error);
        measured.failed.set(code, (measured.failed.get(code) ?? 0) + 1);
      }
      await wait(restMs);
    }
    producer.abandon();
  };
  await Promise.all(clients.map(one));
  await Promise.all(clients.map((client) => client.close()));
  return measured;
}
