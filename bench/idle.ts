/**
 * What idle groups cost (pit-P77): hosts in one process, connected in memory, with groups in which nothing happens.
 * Prints the share of one core that they take, how late the event loop's timers are, and what travels.
 *
 *   node --import tsx bench/idle.ts --groups 1000 --hosts 3 --seconds 20
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { toGroupNumber, toReplicaId } from '../src/model/ids.ts';
import { raftLimitsDefault } from '../src/raft/core/limits.ts';
import { driverLimitsDefault } from '../src/raft/driver-limits.ts';
import type { RaftGroup } from '../src/raft/group.ts';
import { MultiRaftHost } from '../src/raft/host.ts';
import { endOfTurn } from '../src/raft/turns.ts';
import { realClock } from '../src/runtime/real-clock.ts';
import { crc32c } from '../src/runtime/crc32c.ts';
import { systemRandom } from '../src/runtime/system-random.ts';
import { MemoryLogs } from '../test/fakes/memory-log.ts';
import { MemoryNetwork } from '../test/fakes/memory-network.ts';
import { RecordingData } from '../test/raft/rig.ts';

const { values: options } = parseArgs({
  options: {
    groups: { type: 'string', default: '1000' },
    hosts: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '20' },
  },
});
const groups = Number(options.groups);
const hosts = Number(options.hosts);
const seconds = Number(options.seconds);

/** Replicas of a group are numbered by it, so that no two share an id: group 7 on host 2 has 7 x 10 + 2. */
const replicaOf = (group: number, host: number): number => group * 10 + host;

const network = new MemoryNetwork();
const numbers = Array.from({ length: hosts }, (_, i) => i + 1);
const running: RaftGroup[] = [];
for (const host of numbers) {
  const replicas = Array.from({ length: groups }, (_, group) => replicaOf(group, host));
  const transport = network.transportOf(...replicas);
  const multiRaft = new MultiRaftHost({
    ...{ logs: new MemoryLogs(), clusterId: 'f0000000-0000-4000-8000-00000000000f', mayVote: true },
    ...{ clock: realClock, random: systemRandom, crc32c, transport, directory: transport, schedule: endOfTurn },
    ...{ raftLimits: raftLimitsDefault, driverLimits: driverLimitsDefault, observer: {} },
    fatal: (error) => {
      throw error;
    },
  });
  for (let group = 0; group < groups; group++) {
    const voters = numbers.map((other) => toReplicaId(replicaOf(group, other)));
    const spec = { group: toGroupNumber(group), replicaId: toReplicaId(replicaOf(group, host)), voters };
    running.push(await multiRaft.start(spec, new RecordingData()));
  }
}
const leaders = (): number => running.filter((group) => group.role.serving).length;
while (leaders() < groups) await sleep(100);
// until the last told is acknowledged
await sleep(3_000);

const terms = (): number => running.reduce((sum, group) => sum + group.role.term, 0);
const delay = monitorEventLoopDelay({ resolution: 1 });
const before = { messages: network.sent, beats: network.beatsSent, terms: terms() };
delay.enable();
const cpu = process.cpuUsage();
const start = performance.now();
await sleep(seconds * 1000);
const wallMs = performance.now() - start;
const { user, system } = process.cpuUsage(cpu);
delay.disable();
const perSecond = (count: number): number => Number(((count * 1000) / wallMs).toFixed(1));
console.log(
  JSON.stringify({
    groups,
    hosts,
    cpuPercentOfOneCore: Number(((user + system) / 10 / wallMs).toFixed(2)),
    // the monitor's own timer is part of it: 1 ms of resolution
    loopDelayMs: { p50: delay.percentile(50) / 1e6, p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 },
    framesPerSecond: perSecond(network.beatsSent - before.beats),
    messagesPerSecond: perSecond(network.sent - before.messages),
    elections: terms() - before.terms,
    leaders: leaders(),
  }),
);
process.exit(0);
