/**
 * The consumer of the demo, a process of its own so that it can be killed. Every batch goes to the parent (the sink);
 * asking for the next one says that it is processed, and its offsets are committed in the background: what was not
 * committed when it dies is delivered again. The resume token is kept on disk, so the next one takes over at once.
 */
import { Client, resumeTokenFile } from '../../clients/typescript/src/index.ts';
import type { Flight } from './flights.ts';
import type { Delivered } from './sink.ts';

const [brokers = '', topic = '', tokenFile = ''] = process.argv.slice(2);

function toSink(batch: readonly Delivered[]): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(batch, undefined, undefined, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

const client = new Client({ brokers });
const consumer = client.consumer({
  group: 'delays',
  topics: [topic],
  onNoOffset: 'earliest',
  resumeToken: resumeTokenFile(tokenFile),
});
// whoever started it is gone: nobody takes what it reads
process.on('disconnect', () => process.exit(1));
process.on('SIGTERM', () => void consumer.close().then(() => process.exit(0)));

await consumer.start();
process.send?.('joined');
const text = new TextDecoder();
for await (const batch of consumer.batches({ maxRecords: 500 })) {
  const delivered = batch.records.map((record) => {
    const { n, origin, delay } = JSON.parse(text.decode(record.value ?? new Uint8Array())) as Flight;
    return { partition: record.partition, offset: record.offset, flight: { n, origin, delay } };
  });
  await toSink(delivered);
}
