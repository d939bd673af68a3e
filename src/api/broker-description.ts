/** A broker as the contract describes it, and back: another broker may have been asked for it. */
import { BrokerDuty } from '../gen/sluice/v1/cluster.ts';
import type { BrokerDescription } from '../gen/sluice/v1/cluster.ts';
import type { BrokerInfo } from '../broker/requests.ts';
import { toBrokerId } from '../model/ids.ts';
import { toInt32 } from './convert.ts';

const duties = {
  draining: BrokerDuty.BROKER_DUTY_DRAINING,
  decommissioning: BrokerDuty.BROKER_DUTY_DECOMMISSIONING,
} as const satisfies Record<NonNullable<BrokerInfo['duty']>, number>;

export function toBrokerDescription(broker: BrokerInfo): BrokerDescription {
  const { brokerId, address, incarnation, version, healthy, unhealthyReason, healthUnknown, replaceable } = broker;
  return {
    ...{ brokerId, address, incarnation, version, healthy, unhealthyReason, healthUnknown, replaceable },
    rack: broker.rack ?? undefined,
    duty: broker.duty === null ? BrokerDuty.BROKER_DUTY_ACTIVE : duties[broker.duty],
    replicaCount: toInt32(broker.replicaCount),
    formatVersion: toInt32(broker.formatVersion),
  };
}

/** Of an answer without a broker nothing is believed but that its health is not known. */
export function fromBrokerDescription(wire: BrokerDescription | undefined): BrokerInfo {
  const { brokerId = 0, address = '', incarnation = '', version = '', rack } = wire ?? {};
  const { healthy = false, unhealthyReason = '', healthUnknown = true } = wire ?? {};
  const { replicaCount = 0, replaceable = false, formatVersion = 0 } = wire ?? {};
  const names = Object.keys(duties) as (keyof typeof duties)[];
  const duty = names.find((name) => duties[name] === wire?.duty) ?? null;
  return {
    ...{ brokerId: toBrokerId(brokerId), address, incarnation, version, rack: rack ?? null },
    ...{ healthy, unhealthyReason, healthUnknown, duty, replicaCount, replaceable, formatVersion },
  };
}
