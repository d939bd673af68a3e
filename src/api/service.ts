/**
 * Generated service definitions with our own (de)serializers: requests arrive as `Incoming`, so that bytes which are no
 * request are refused and not thrown, and replies that carry batches are written without copying them twice.
 */
import type { handleBidiStreamingCall, handleUnaryCall, ServiceDefinition } from '@grpc/grpc-js';
import type { Incoming, NodeFields } from './incoming.ts';
import { parseIncoming } from './incoming.ts';
import type { ApiLimits } from './limits.ts';

/** The part of a generated method that we look at. */
interface GeneratedMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (message: never) => Buffer;
}

type GeneratedService = Readonly<Record<string, GeneratedMethod>>;

type RequestOf<Method extends GeneratedMethod> = ReturnType<Method['requestDeserialize']>;
type ResponseOf<Method extends GeneratedMethod> = Parameters<Method['responseSerialize']>[0];

/** One handler a method, which gets `Incoming` requests. */
export type HandlersOf<Service extends GeneratedService> = {
  readonly [Name in keyof Service]: Service[Name]['requestStream'] extends true
    ? handleBidiStreamingCall<Incoming<RequestOf<Service[Name]>>, ResponseOf<Service[Name]>>
    : handleUnaryCall<Incoming<RequestOf<Service[Name]>>, ResponseOf<Service[Name]>>;
};

/** What differs from the generated method. */
export interface MethodTuning {
  /** Replaces the parsing of requests; never throws. */
  readonly parse?: (bytes: Buffer) => Incoming<unknown>;
  /** Replaces the writing of replies. */
  readonly serialize?: (reply: never) => Buffer;
  /** Nested messages to count before parsing. */
  readonly nodes?: NodeFields;
}

/** Fields 1 to 15 of a request: whatever repeats at its first level is counted. */
const firstLevel: NodeFields = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [i + 1, 'leaf' as const]));

/** The definition to register with a server. */
export function tuneService<Service extends GeneratedService>(
  service: Service,
  limits: ApiLimits,
  tuning: { readonly [Name in keyof Service]?: MethodTuning } = {},
): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([name, method]) => {
      const { parse, serialize, nodes = firstLevel } = tuning[name] ?? {};
      const requestDeserialize =
        parse ??
        ((bytes: Buffer) => parseIncoming(bytes, (part) => method.requestDeserialize(part as Buffer), nodes, limits));
      const responseSerialize = serialize ?? method.responseSerialize;
      return [name, { ...method, requestDeserialize, responseSerialize }];
    }),
  ) as unknown as ServiceDefinition;
}
