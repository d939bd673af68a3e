/** Clients as they should be: each sends a small record, waits until it is durable, rests, and another one reads it. */
import { Client } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { wait } from '../broker/patience.ts';
import { Latencies } from './latencies.ts';

const clientsCount = 32;
const restMs = 100;
const valueBytes = 1_024;

/** How long after the last record it is waited for those that are not read yet. */
const lateMsMax = 60_000;

export interface Measured {
  /** From `send` until it is acknowledged, refusals and retries included. */
  readonly produce: Latencies;
  /** From `send` until another client has it. */
  readonly read: Latencies;
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
  const measured: Measured = { produce: new Latencies(), read: new Latencies(), failed: new Map() };
  const clients = Array.from({ length: clientsCount }, () => new Client({ brokers: [address] }));
  /** When each record was sent that was not read yet, by what it holds. */
  const sent = new Map<string, number>();
  const readers = new Client({ brokers: [address] });
  const reader = readers.reader({ topic, from: 'latest' });
  await reader.start();
  const reading = (async (): Promise<void> => {
    for await (const { value } of reader) {
      const name = nameOf(value);
      const startMs = sent.get(name);
      if (startMs !== undefined) measured.read.add(performance.now() - startMs);
      sent.delete(name);
    }
  })();
  const untilMs = performance.now() + forMs;
  const one = async (client: Client, nth: number): Promise<void> => {
    const producer = client.producer();
    for (let n = 0; performance.now() < untilMs; n++) {
      const startMs = performance.now();
      const value = Buffer.alloc(valueBytes);
      value.writeUInt32BE(nth, 0);
      value.writeUInt32BE(n, 4);
      sent.set(nameOf(value), startMs);
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
  const lateMs = performance.now() + lateMsMax;
  while (sent.size > 0 && performance.now() < lateMs) await wait(restMs);
  if (sent.size > 0) measured.failed.set('NEVER_READ', sent.size);
  await reader.close();
  await reading;
  await Promise.all([...clients, readers].map((client) => client.close()));
  return measured;
}

/** Which record it is. */
const nameOf = (value: Uint8Array | null): string => Buffer.from(value ?? []).toString('hex', 0, 8);
