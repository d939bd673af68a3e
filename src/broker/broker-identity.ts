/** Who this broker is (design D4), as its disk says. */
import type { BrokerId } from '../model/ids.ts';

export interface BrokerIdentity {
  /** UUID of the cluster that the disk belongs to. */
  readonly clusterId: string;
  readonly brokerId: BrokerId;
  /** UUID of the disk: an emptied or swapped one has another. */
  readonly incarnation: string;
  /** Where clients reach this broker, `host:port`. */
  readonly address: string;
  /** Version of Sluice that it runs. */
  readonly version: string;
}

/** Why a broker can not start on this disk; `message` is one line that says what to do. */
export class BrokerStartError extends Error {
  override readonly name = 'BrokerStartError';
}
