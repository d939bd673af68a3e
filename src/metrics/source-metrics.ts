/** Gauges that are asked from their sources when somebody scrapes: the disk, limits and what is taken of them, readiness. */
import type { Registry } from 'prom-client';
import { Gauge } from 'prom-client';
import type { DiskFacts } from '../broker/broker-facts.ts';
import type { LimitUse } from '../broker/broker-sample.ts';

export interface GaugeSources {
  /** Null: not known yet. */
  readonly disk: () => (DiskFacts & { readonly totalBytes: number }) | null;
  readonly limits: () => readonly LimitUse[];
  readonly isReady: () => boolean;
}

export function sourceMetrics(registry: Registry, { disk, limits, isReady }: GaugeSources): void {
  const registers = [registry];
  const ofDisk = (name: string, help: string, read: (facts: NonNullable<ReturnType<typeof disk>>) => number): void => {
    new Gauge({
      ...{ name, help, registers },
      collect() {
        const facts = disk();
        if (facts !== null) this.set(read(facts));
      },
    });
  };
  ofDisk(
    'sluice_storage_disk_free_bytes',
    'What may still be taken from the disk of the data directory; what compactions need for a while is taken off.',
    ({ freeBytes }) => freeBytes,
  );
  ofDisk('sluice_storage_disk_total_bytes', 'Size of that disk.', ({ totalBytes }) => totalBytes);
  ofDisk(
    'sluice_storage_disk_soft_reserve_bytes',
    'Free bytes below which leaders here refuse new records.',
    ({ softReserveBytes }) => softReserveBytes,
  );
  ofDisk(
    'sluice_storage_disk_hard_reserve_bytes',
    'Free bytes below which followers here take no bulk either.',
    ({ hardReserveBytes }) => hardReserveBytes,
  );
  ofDisk(
    'sluice_storage_ballast_whole',
    '1 if the file that is given up so that a full disk can recover has its full size.',
    ({ ballastWhole }) => (ballastWhole ? 1 : 0),
  );
  new Gauge({
    name: 'sluice_ready',
    help: '1 while the broker takes requests of everybody (/readyz), else 0.',
    registers,
    collect() {
      this.set(isReady() ? 1 : 0);
    },
  });
  const ofLimits = (name: string, help: string, read: (use: LimitUse) => number): void => {
    new Gauge({
      ...{ name, help, labelNames: ['limit'], registers },
      collect() {
        for (const use of limits()) this.set({ limit: use.limit }, read(use));
      },
    });
  };
  ofLimits(
    'sluice_limit_used',
    'What is taken of a limit, in its unit: calls, connections, bytes, or partitions that are waited for.',
    ({ used }) => used,
  );
  ofLimits('sluice_limit_max', 'The limits that sluice_limit_used is held against.', ({ max }) => max);
}
