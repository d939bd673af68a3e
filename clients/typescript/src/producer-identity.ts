/** Who produces, as far as batches are concerned. */
import type { ProducerEpoch, ProducerId } from '../../../src/model/ids.ts';

/** What InitProducer gave. */
export interface ProducerIdentity {
  readonly id: ProducerId;
  readonly epoch: ProducerEpoch;
  /** Proves the identity when its epoch is raised. */
  readonly secret: Uint8Array;
  /** The client's own count, from 1: a lane that may not go on under one identity waits for a later one. */
  readonly generation: number;
}
