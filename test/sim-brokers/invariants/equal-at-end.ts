import { BrokerInvariant } from '../invariant.ts';

/** inv-equal: at the end every healthy replica's disk holds what its group committed, byte for byte. Reliability 3.7. */
export class EqualAtEnd extends BrokerInvariant {
  readonly id = 'inv-equal';

  override atEnd(): void {
    for (const { number, disk } of this.world.healthy) {
      for (const group of this.world.groups) {
        const image = disk.synced.get(group);
        if (image === undefined || !this.world.canElectWithout(group)) continue;
        for (const entry of this.world.committed.of(group).entries.slice(image.before.index)) {
          const there = image.at(entry.index);
          const isEqual = there?.chain === entry.chain && Buffer.compare(there.payload, entry.payload) === 0;
          this.check(isEqual, `b${number} lacks committed ${entry.index} of group ${group}`);
        }
      }
    }
  }
}
