/** A client that knows nothing but how to ask for descriptors can list topics, produce and fetch. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import type { GrpcObject, ServiceClientConstructor } from '@grpc/grpc-js';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync } from '@grpc/proto-loader';
import { dataDirectory, startBroker } from './broker-process.ts';

const require = createRequire(import.meta.url);
const reflectionProto = path.join(
  path.dirname(require.resolve('@grpc/reflection')),
  '../proto/grpc/reflection/v1/reflection.proto',
);

type AnyClient = Record<string, (...args: unknown[]) => unknown> & { close(): void };

function clientOf(packages: GrpcObject, name: string, address: string): AnyClient {
  const Constructor = name.split('.').reduce<unknown>((at, part) => (at as GrpcObject)[part], packages);
  return new (Constructor as ServiceClientConstructor)(address, credentials.createInsecure()) as unknown as AnyClient;
}

interface ReflectionAnswer {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] };
}

interface ReflectionStream {
  write(request: object): void;
  end(): void;
  once(event: 'data', listener: (answer: ReflectionAnswer) => void): void;
}

/** Fields of a FileDescriptorSet: each file, length-delimited, as field 1. */
function descriptorSet(files: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    files.flatMap((file) => {
      const length: number[] = [];
      let rest = file.length;
      for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) length.push((rest % 0x80) | 0x80);
      return [Uint8Array.of(0x0a, ...length, rest), file];
    }),
  );
}

test('reflection is enough to list topics, produce and fetch', async (t) => {
  const broker = startBroker(t, { 'storage.dataDir': dataDirectory(t) });
  const { address } = await broker.ready();
  const reflectionPackage = loadPackageDefinition(loadSync(reflectionProto, { keepCase: true }));
  const reflection = clientOf(reflectionPackage, 'grpc.reflection.v1.ServerReflection', address);
  t.after(() => reflection.close());
  const stream = reflection['ServerReflectionInfo']!() as ReflectionStream;
  const ask = (request: object): Promise<ReflectionAnswer> =>
    new Promise((resolve) => {
      stream.once('data', resolve);
      stream.write(request);
    });

  const listed = await ask({ list_services: '' });
  const names = listed.list_services_response!.service.map(({ name }) => name);
  for (const name of [
    'sluice.v1.LogService',
    'sluice.v1.TopicService',
    'sluice.v1.GroupService',
    'grpc.health.v1.Health',
  ])
    assert.ok(names.includes(name), `${name} in ${names.join()}`);

  // a file that several symbols share comes again with each of them
  const files = new Map<string, Uint8Array>();
  for (const name of ['sluice.v1.LogService', 'sluice.v1.TopicService']) {
    const found = await ask({ file_containing_symbol: name });
    for (const file of found.file_descriptor_response!.file_descriptor_proto)
      files.set(Buffer.from(file).toString('base64'), file);
  }
  stream.end();
  const learnt = loadPackageDefinition(
    loadFileDescriptorSetFromBuffer(descriptorSet([...files.values()]), { longs: Number }),
  );
  const log = clientOf(learnt, 'sluice.v1.LogService', address);
  const topics = clientOf(learnt, 'sluice.v1.TopicService', address);
  t.after(() => [log, topics].forEach((client) => client.close()));
  const send = <T>(client: AnyClient, method: string, request: object): Promise<T> =>
    new Promise((resolve, reject) => {
      client[method]!(request, (error: Error | null, answer: T) => (error === null ? resolve(answer) : reject(error)));
    });

  await send(topics, 'CreateTopic', { name: 'orders' });
  const { topics: all } = await send<{ topics: readonly { name: string }[] }>(topics, 'ListTopics', {});
  assert.deepEqual(
    all.map(({ name }) => name),
    ['orders'],
  );
  await send(log, 'Produce', {
    topic: 'orders',
    records: { records: [{ key: Buffer.from('k'), value: Buffer.from('hello') }] },
  });
  const { partitions } = await send<{
    partitions: readonly { records: { records: readonly { value: Buffer; offset: number }[] } }[];
  }>(log, 'Fetch', { partitions: [{ topic: 'orders', partition: 0, fetch_offset: 0 }] });
  assert.deepEqual(
    partitions[0]!.records.records.map(({ value, offset }) => [value.toString(), offset]),
    [['hello', 0]],
  );
});
