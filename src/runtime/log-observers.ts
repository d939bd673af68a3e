/** What the layers report and an operator should read in the log: changes of state, never single records or requests. */
import type { BrokerObserver } from '../broker/observer.ts';
import { silentBrokerObserver } from '../broker/observer.ts';
import type { RaftObserver } from '../raft/observer.ts';
import type { RefusalCode } from '../raft/peer-admission.ts';
import type { PeerObserver } from '../raft/peer-observer.ts';
import type { Logger } from './logger.ts';

export function logBroker(logger: Logger): BrokerObserver {
  const log = logger.child({ component: 'broker' });
  return {
    ...silentBrokerObserver,
    waitsForCatalog: (why) => log.warn({ why }, 'waits for the catalog'),
    topicCreated: (topic, topicId, partitions) => log.info({ topic, topicId, partitions }, 'topic created'),
    topicDeleted: (topic, topicId) => log.info({ topic, topicId }, 'topic deleted'),
    groupOrphaned: (group) => log.error({ group }, 'data of an unknown group on this disk: left as it is'),
    groupMissing: (group) => log.error({ group }, 'a group that should be on this disk is missing'),
    groupRemoved: (group) => log.info({ group }, 'data of a deleted partition removed'),
    logStartMoved: (group, from, to) => log.debug({ group, from, to }, 'retention moved the log start'),
    retentionFailed: (group, why) => log.error({ group, why }, 'retention can not read a log'),
    clockStrays: (strays) => {
      if (strays)
        log.error({ strays }, 'the clock strays from those of other brokers: nothing is let go of by age; correct it');
      else log.info({ strays }, 'the clock agrees with those of other brokers again');
    },
  };
}

export function logRaft(logger: Logger): RaftObserver {
  const log = logger.child({ component: 'raft' });
  return {
    roleChanged: (group, { role, term, serving }) => log.debug({ group, role, term, serving }, 'role changed'),
    quarantined: (group, reason) => log.error({ group, reason }, 'group set apart'),
    alarm: (group, alarm) => log.error({ group, alarm }, 'a follower lost what it had acknowledged: replace it'),
    snapshotInstalled: (group, { lastIndex, byteLength }) =>
      log.info({ group, lastIndex, byteLength }, 'snapshot installed'),
    snapshotDamaged: (group, detail) => log.error({ group, detail }, 'a snapshot can not be taken'),
    dropped: (group, why) => log.debug({ group, why }, 'message dropped'),
  };
}

/** While brokers found a cluster, some are in it before others are: they try again, and there is nothing to be done. */
const passes: ReadonlySet<RefusalCode> = new Set(['no-cluster-yet']);

export function logPeers(logger: Logger): PeerObserver {
  const log = logger.child({ component: 'peers' });
  return {
    connected: (_to, lane, broker) => log.info({ broker, lane }, 'connected to a broker'),
    disconnected: (to, lane, why) => log.debug({ to, lane, why }, 'no connection to a broker'),
    refused: (to, by, { code, detail }) => {
      if (passes.has(code)) log.debug({ to, by, code, detail }, 'two brokers do not talk to each other yet');
      else log.error({ to, by, code, detail }, 'two brokers do not talk to each other');
    },
    turnedAway: (from, { code, detail }) => {
      if (passes.has(code)) log.debug({ from, code, detail }, 'a broker was turned away for now');
      else log.warn({ from, code, detail }, 'a broker was turned away');
    },
  };
}
