/** What a broker may hold in memory by its limits, so that a case can hold it to that. */
import { defaultApiLimits } from '../../../src/api/limits.ts';
import { defaultBrokerLimits } from '../../../src/broker/limits.ts';
import { engineDefaults } from '../../../src/log/rocksdb-engine.ts';
import { writeBufferBytesFor } from '../../../src/log/disk-reserve.ts';
import { loadConfig } from '../../../src/config.ts';
import { must } from '../../../src/model/assert.ts';

/**
 * By name, in bytes, with the default settings. Left out, so that the sum is rather too small: the brokers' port, which
 * nobody uses here, and what the limits count twice.
 */
export function memoryLimits(diskBytes: number): Readonly<Record<string, number>> {
  const loaded = loadConfig({ argv: [], env: {} });
  const { limits } = must(loaded.kind === 'ok' ? loaded.config : null, 'the defaults are in order');
  const { receiveWindowBytesMax, requestBytesInFlightMax, replyBytesUnsentMax } = { ...defaultApiLimits, ...limits };
  return {
    receiveWindowBytesMax,
    requestBytesInFlightMax,
    replyBytesUnsentMax,
    tailCacheBytesMax: limits.tailCacheBytesMax,
    appendBytesInFlightMax: defaultBrokerLimits.appendBytesInFlightMax,
    writeBuffers: engineDefaults.writeBuffersMax * writeBufferBytesFor(diskBytes),
  };
}
