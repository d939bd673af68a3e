/** Bounds of histograms, seconds. The thresholds of alerts and objectives are bounds, so that no ratio is interpolated. */

/** For requests and what they wait for: 0.5 ms to 10 s. */
export const requestBuckets: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** For the disk: 0.1 ms to 2.5 s. */
export const diskBuckets: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
];

/** For how many writes share one fsync. */
export const groupBuckets: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/** For bytes that share one fsync: 1 KiB to 8 MiB, which closes a group. */
export const groupBytesBuckets: readonly number[] = [1, 4, 16, 64, 256, 1024, 2048, 4096, 8192].map(
  (kibibytes) => kibibytes * 1024,
);
