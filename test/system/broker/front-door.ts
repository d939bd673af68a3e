/** The broker's front door for what the client library does not offer: raw streams, raw batches, offset tools. */
import { Connection } from '../../../clients/typescript/src/connection.ts';
import { fromDetail } from '../../../clients/typescript/src/decode-error.ts';
import { systemEnvironment } from '../../../clients/typescript/src/environment.ts';
import type { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { FetchFormat, FetchRequest, FetchResponse } from '../../../clients/typescript/src/gen/sluice/v1/log.ts';
import type { FetchedPartition } from '../../../clients/typescript/src/gen/sluice/v1/log.ts';
import { methods, type Method } from '../../../clients/typescript/src/methods.ts';
import { patience } from './patience.ts';

const fetchMethod: Method<FetchRequest, FetchResponse> = {
  path: '/sluice.v1.LogService/Fetch',
  effect: 'none',
  serialize: (request) => Buffer.from(FetchRequest.encode(request).finish()),
  deserialize: (bytes) => FetchResponse.decode(bytes),
};

/** Of an idle machine. */
const callMsMax = 10_000;
const fetchBytesMax = 3 << 20;

export interface CommitOne {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export class FrontDoor {
  readonly connection: Connection;

  constructor(address: string) {
    this.connection = new Connection(address, systemEnvironment);
  }

  /** Stored batches from `offset` on, as they are. Rejects with a BrokerError. */
  async fetch(topic: string, topicId: string, partition: number, offset: number): Promise<FetchedPartition> {
    const asked = { topic, topicId, partition, fetchOffset: BigInt(offset), maxBytes: fetchBytesMax };
    const format = FetchFormat.FETCH_FORMAT_RECORD_BATCHES;
    const answer = await this.#call(fetchMethod, { partitions: [asked], maxWaitMs: 0, minBytes: 0, format });
    const [fetched] = answer.partitions;
    if (fetched === undefined) throw new Error('a fetch was answered without its partition');
    if (fetched.error !== undefined) throw fromDetail(fetched.error, { topic, partition });
    return fetched;
  }

  /** Commits without being a member. Null: it is stored. */
  async commit({ group, topic, partition, offset }: CommitOne): Promise<BrokerError | null> {
    const offsets = [{ topic, partition, offset: BigInt(offset), metadata: '' }];
    const answer = await this.#call(methods.commit, { group, offsets });
    const error = answer.partitions[0]?.error;
    return error === undefined ? null : fromDetail(error, { topic, partition });
  }

  close(): void {
    this.connection.close();
  }

  #call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    const timeoutMs = callMsMax * patience();
    return this.connection.unary(method, request, { timeoutMs, connectTimeoutMs: timeoutMs });
  }
}
