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
  /** Where other brokers reach it, `host:port`; null: it has no peers. */
  readonly peerAddress: string | null;
  /** What it shares the fate of (a zone, a rack): replicas are spread over it. Null: not told. */
  readonly rack: string | null;
  /** Version of Sluice that it runs. */
  readonly version: string;
  /** Newest format that it writes and reads. Default: formatVersionMax. */
  readonly formatVersion?: number;
}

/** Why a broker can not start on this disk; `message` is one line that says what to do. */
export class BrokerStartError extends Error {
  override readonly name = 'BrokerStartError';
}
