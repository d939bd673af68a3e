/**
 * Requests as they come in. grpc-js answers a message that can not be parsed with INTERNAL, which says that we are broken;
 * so our deserializers never throw: what is malformed arrives at the handler as such and is refused with a typed error,
 * on a stream without ending the process or the other requests.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { BrokerError } from '../model/errors.ts';
import type { ApiLimits } from './limits.ts';

export type Incoming<T> =
  | { readonly kind: 'message'; readonly message: T; readonly bytes: number }
  | { readonly kind: 'malformed'; readonly error: BrokerError; readonly bytes: number };

/** Fields, by number, that are counted before a message is decoded; `leaf`: without a look inside. */
export interface NodeFields {
  readonly [field: number]: NodeFields | 'leaf';
}

type RequestLimits = Pick<ApiLimits, 'requestBytesMax' | 'requestNodesMax'>;

/**
 * Parses a request. `nodes` says where repeated messages are: two bytes on the wire can become an object of a hundred, so
 * they are counted first.
 */
export function parseIncoming<T>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => T,
  nodes: NodeFields,
  limits: RequestLimits,
): Incoming<T> {
  const refused = (code: BrokerError['code'], message: string, fields: Record<string, string> = {}): Incoming<T> => ({
    kind: 'malformed',
    error: { code, message, fields },
    bytes: bytes.length,
  });
  if (bytes.length > limits.requestBytesMax)
    return refused(
      'MESSAGE_TOO_LARGE',
      `A request of ${bytes.length} bytes is above the limit of ${limits.requestBytesMax}.`,
      {
        limit: String(limits.requestBytesMax),
        actual: String(bytes.length),
      },
    );
  try {
    const left = countNodes(new BinaryReader(bytes), bytes.length, nodes, limits.requestNodesMax);
    if (left < 0)
      return refused('INVALID_REQUEST', `A request has more than ${limits.requestNodesMax} nested messages.`, {
        limit: String(limits.requestNodesMax),
      });
    return { kind: 'message', message: decode(bytes), bytes: bytes.length };
  } catch {
    // the parser's words ("premature EOF") help nobody who sends what is no protobuf at all
    return refused('INVALID_REQUEST', 'The message can not be parsed: it is not what the contract says.');
  }
}

/** How many nodes are left of `budget` after counting those between the reader's position and `end`; negative: too many. */
function countNodes(reader: BinaryReader, end: number, nodes: NodeFields, budget: number): number {
  let left = budget;
  while (reader.pos < end && left >= 0) {
    const [field, wireType] = reader.tag();
    const inner = wireType === WireType.LengthDelimited ? nodes[field] : undefined;
    if (inner !== undefined) left -= 1;
    if (inner === undefined || inner === 'leaf') reader.skip(wireType, field);
    else left = countInside(reader, end, inner, left);
  }
  return left;
}

function countInside(reader: BinaryReader, end: number, nodes: NodeFields, budget: number): number {
  const length = reader.uint32();
  const innerEnd = reader.pos + length;
  if (innerEnd > end) throw new RangeError('a nested message is longer than what holds it');
  const left = countNodes(reader, innerEnd, nodes, budget);
  reader.pos = innerEnd;
  return left;
}
