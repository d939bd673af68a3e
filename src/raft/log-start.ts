/** Payload of a `log-start` entry: from which offset on the partition is visible (design D11). Version byte, offset. */
import { assert } from '../model/assert.ts';
import type { EntryDraft } from '../model/entry.ts';
import type { Offset } from '../model/ids.ts';
import { toOffset } from '../model/ids.ts';

const formatVersion = 1;
const payloadBytes = 9;

/** The proposal that moves the log start; the proposer sees to it that the offset is at most the high watermark. */
export function logStartDraft(logStart: Offset): EntryDraft {
  const payload = new Uint8Array(payloadBytes);
  const view = new DataView(payload.buffer);
  view.setUint8(0, formatVersion);
  view.setUint32(1, Math.floor(logStart / 2 ** 32));
  view.setUint32(5, logStart % 2 ** 32);
  return { kind: 'log-start', count: 0, payload, maxTimestampMs: null };
}

/** @throws InvariantViolation for bytes that `logStartDraft` did not make */
export function decodeLogStart(payload: Uint8Array): Offset {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  assert(payload.length === payloadBytes && view.getUint8(0) === formatVersion, 'log-start-1: known format');
  return toOffset(view.getUint32(1) * 2 ** 32 + view.getUint32(5));
}
