/** What one coordinator (one partition of `__groups`) may hold and accept. Past a limit: a typed refusal. */
export interface GroupLimits {
  /** Members of one group. Default 1,000. */
  readonly membersMax: number;
  readonly groupsMax: number;
  readonly topicsPerMemberMax: number;
  readonly offsetsPerGroupMax: number;
  readonly offsetsPerCommitMax: number;
  /** UTF-8 bytes of the metadata of one committed offset (Kafka's limit). */
  readonly metadataBytesMax: number;
  /** Bytes that one request may add to the log. */
  readonly entryBytesMax: number;
  /** Bytes of one answer that lists offsets. */
  readonly answerBytesMax: number;
  /** Estimated memory of everything that the coordinator holds; reached: nothing new is taken in. */
  readonly stateBytesMax: number;
  /** Offsets outlive the group's last member, or its subscription to the topic, by this much (semantics O4). */
  readonly offsetsRetentionMs: number;
}

export const defaultGroupLimits: GroupLimits = {
  membersMax: 1_000,
  groupsMax: 10_000,
  topicsPerMemberMax: 100,
  offsetsPerGroupMax: 20_000,
  offsetsPerCommitMax: 10_000,
  metadataBytesMax: 4096,
  entryBytesMax: 1024 * 1024,
  answerBytesMax: 3 * 1024 * 1024,
  stateBytesMax: 256 * 1024 * 1024,
  offsetsRetentionMs: 7 * 24 * 3_600_000,
};
