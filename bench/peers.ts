/**
 * What the way between two brokers does over loopback: append requests of 64 KiB entries from one process to another, with
 * at most 8 MiB without an answer, as the core sends them.
 *
 *   node --import tsx bench/peers.ts [--megabytes N] [--entries N]
 *
 *   --megabytes N   default 4000
 *   --entries N     64 KiB entries in one append request, default 1
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { Entry } from '../src/model/entry.ts';
import {
  termZero,
  toBrokerId,
  toGroupNumber,
  toLogIndex,
  toMillis,
  toOffset,
  toReplicaId,
  toTerm,
} from '../src/model/ids.ts';
import type { AppendRequest } from '../src/raft/core/messages.ts';
import { decodeFrame, encodeFrame } from '../src/raft/grpc-frames.ts';
import { AddressBook, PeerRig, until } from '../test/raft/peer-rig.ts';

const { values: options } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '4000' },
    entries: { type: 'string', default: '1' },
    receive: { type: 'string' },
  },
});
const [sender, receiver] = [toReplicaId(1), toReplicaId(2)];
const group = toGroupNumber(7);
const entryBytes = 64 * 1024;
const unansweredBytesMax = 8 * 1024 * 1024;
const book = new AddressBook();
book.replicas.set(sender, toBrokerId(1)).set(receiver, toBrokerId(2));

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

function append(sequence: number, entries: number): AppendRequest {
  const entry: Entry = {
    kind: 'batch',
    term: toTerm(1),
    index: toLogIndex(1),
    baseOffset: toOffset(0),
    count: 64,
    appendTimeMs: toMillis(1_700_000_000_000),
    maxTimestampMs: toMillis(1_700_000_000_000),
    payloadCrc: 0xffff_fff0,
    chain: 0xffff_fff0,
    payload: Buffer.alloc(entryBytes, 7),
  };
  return {
    kind: 'append-request',
    from: sender,
    to: receiver,
    term: toTerm(1),
    prevIndex: toLogIndex(0),
    prevTerm: termZero,
    prevEndOffset: toOffset(0),
    prevChain: 1,
    sequence,
    entries: Array.from({ length: entries }, () => entry),
    commit: toLogIndex(0),
  };
}

/** Answers every append request; prints its CPU seconds when its input ends. */
async function receive(senderPort: string): Promise<void> {
  const rig = await new PeerRig({ broker: 2, book }).listen(book);
  book.addresses.set(toBrokerId(1), `127.0.0.1:${senderPort}`);
  let began = cpuSeconds();
  rig.peers.onMessage((_group, message) => {
    if (message.kind !== 'append-request') return;
    if (message.sequence === 1) began = cpuSeconds();
    rig.peers.send(group, {
      kind: 'append-reply',
      from: receiver,
      to: sender,
      term: message.term,
      prevIndex: message.prevIndex,
      sequence: message.sequence,
      result: { kind: 'accepted', durableIndex: message.prevIndex },
    });
  });
  process.stdout.write(`${rig.port}\n`);
  process.stdin.resume();
  await once(process.stdin, 'end');
  process.stdout.write(`${cpuSeconds() - began}\n`);
  process.exit(0);
}

/** Microseconds of CPU, garbage collection included, to write, and to read, one append request with one 64 KiB entry. */
function codec(): { readonly writeUs: number; readonly readUs: number } {
  const content = { kind: 'message', group, message: append(1, 1) } as const;
  const rounds = 20_000;
  const time = (run: () => unknown): number => {
    for (let i = 0; i < 2_000; i++) run();
    const start = cpuSeconds();
    for (let i = 0; i < rounds; i++) run();
    return ((cpuSeconds() - start) * 1e6) / rounds;
  };
  const frame = encodeFrame(content, 5);
  return { writeUs: time(() => encodeFrame(content, 5)), readUs: time(() => decodeFrame(frame)) };
}

async function send(): Promise<void> {
  const rig = await new PeerRig({ broker: 1, book }).listen(book);
  const child = spawn(process.execPath, ['--import', 'tsx', import.meta.filename, '--receive', String(rig.port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const port = (await lines.next()).value as string;
  book.addresses.set(toBrokerId(2), `127.0.0.1:${port}`);

  const entries = Number(options.entries);
  const messageBytes = entries * entryBytes;
  const messages = Math.ceil((Number(options.megabytes) * 1e6) / messageBytes);
  const message = append(0, entries);
  let [sent, answered] = [0, 0];
  const feed = (): void => {
    while (sent < messages && (sent - answered) * messageBytes < unansweredBytesMax)
      rig.peers.send(group, { ...message, sequence: ++sent });
  };
  rig.peers.onMessage(() => {
    answered += 1;
    feed();
  });
  const [cpu, start] = [cpuSeconds(), performance.now()];
  feed();
  await until(() => answered === messages);
  const seconds = (performance.now() - start) / 1_000;
  const sendCpu = cpuSeconds() - cpu;
  child.stdin.end();
  const receiveCpu = Number((await lines.next()).value);
  const gigabytes = (messages * messageBytes) / 1e9;
  const round = (value: number): number => Math.round(value * 100) / 100;
  const { writeUs, readUs } = codec();
  console.log(
    JSON.stringify({
      node: process.version,
      entriesPerMessage: entries,
      megabytesPerSecond: Math.round((gigabytes * 1_000) / seconds),
      senderCpuSecondsPerGigabyte: round(sendCpu / gigabytes),
      receiverCpuSecondsPerGigabyte: round(receiveCpu / gigabytes),
      writeMicroseconds: round(writeUs),
      readMicroseconds: round(readUs),
      dropped: rig.drops.length,
    }),
  );
  process.exit(0);
}

if (options.receive === undefined) await send();
else await receive(options.receive);
