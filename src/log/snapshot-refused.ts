/**
 * A snapshot that came in can not be taken, whole or in part: it is damaged, too large, or out of place. What was here
 * stays as it was; a damaged one is never taken for an empty one (reliability P48).
 */
export class SnapshotRefused extends Error {
  override readonly name = 'SnapshotRefused';
}
