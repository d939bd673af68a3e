/** Who may speak to this broker (design D4). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import type { AdmissionContext, PresentedPeer } from '../../src/raft/peer-admission.ts';
import { judgePeer } from '../../src/raft/peer-admission.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';

const uuid = (last: number): string => `f0000000-0000-4000-8000-00000000000${last}`;

const identity = (brokerId: number): PeerIdentity => ({
  ...{ brokerId: toBrokerId(brokerId), clusterId: uuid(0), incarnation: uuid(brokerId) },
  ...{ bootNumber: 5, processNonce: uuid(9), recoveredCommit: 100, earlierStarts: [], peerAddress: null },
});

const context: AdmissionContext = {
  own: identity(1),
  sought: null,
  membersOnly: true,
  knownIncarnation: uuid(2),
  remembered: { incarnation: uuid(2), bootNumber: 5, processNonce: uuid(9), durableCommit: 120 },
  saidBefore: 119,
};

/** The refusal of broker 2 with these differences; null: none. */
function refused(
  fields: Partial<PeerIdentity> & { readonly durableCommit?: number },
  more: Partial<AdmissionContext> = {},
): string | null {
  const { durableCommit = 120, ...differences } = fields;
  const peer: PresentedPeer = { identity: { ...identity(2), ...differences }, durableCommit };
  return judgePeer(peer, { ...context, ...more })?.code ?? null;
}

test('a broker that is what it was may speak, also one that nothing is remembered of', () => {
  assert.equal(refused({}), null);
  assert.equal(refused({}, { remembered: null, knownIncarnation: null }), null);
});

test('pit-P62: a broker of another cluster may not; one without a cluster only where it may found or join one', () => {
  assert.equal(refused({ clusterId: uuid(8) }), 'other-cluster');
  assert.equal(refused({ clusterId: uuid(8) }, { membersOnly: false }), 'other-cluster');
  assert.equal(refused({ clusterId: null }), 'no-cluster-yet', 'it is about to found or join one');
  assert.equal(refused({ clusterId: null }, { membersOnly: false }), null);
});

test('pit-P61: a known broker id on another data directory may not', () => {
  assert.equal(refused({ incarnation: uuid(7) }), 'other-incarnation');
  assert.equal(refused({ incarnation: uuid(7) }, { knownIncarnation: null, remembered: null }), null);
});

test('pit-P87: a disk that was rolled back, or runs twice, may not', () => {
  assert.equal(refused({ bootNumber: 4 }), 'old-boot');
  assert.equal(refused({ processNonce: uuid(8) }), 'boot-reused');
  assert.equal(refused({ durableCommit: 119 }), null, 'of the same process, what came since overtook it');
  assert.equal(refused({ durableCommit: 118 }), 'rolled-back', 'and more had been heard before it spoke');
  assert.equal(refused({ bootNumber: 6, processNonce: uuid(8), recoveredCommit: 119 }), 'rolled-back');
  assert.equal(refused({ bootNumber: 6, processNonce: uuid(8), recoveredCommit: 120, durableCommit: 120 }), null);
});

test('pit-P87: what an old copy wrote on its own stands for nothing that it lost', () => {
  const [heard, other, now] = [uuid(9), uuid(7), uuid(8)];
  /** Start 8 of a disk that has had these starts, of which start 5 was heard and had called 120 writes durable. */
  const after = (...starts: readonly (readonly [number, string, number])[]): string | null => {
    const earlierStarts = starts.map(([bootNumber, processNonce, recoveredCommit]) => ({
      ...{ bootNumber, processNonce, recoveredCommit },
    }));
    return refused({ bootNumber: 8, processNonce: now, recoveredCommit: 999, durableCommit: 999, earlierStarts });
  };
  assert.equal(after([5, heard, 100], [6, other, 120], [7, other, 121]), null);
  assert.equal(after([5, other, 100], [6, other, 900]), 'rolled-back', 'the copy was started in place of that start');
  assert.equal(after([5, heard, 100], [6, other, 119], [7, other, 900]), 'rolled-back', 'copied while that start ran');
  // where the directory does not reach back that far, the oldest start that it knows decides
  assert.equal(after([7, other, 120]), null);
  assert.equal(after([7, other, 119]), 'rolled-back');
  assert.equal(after(), null);
});

test('a broker may not take this one for itself, nor stand in for another one', () => {
  assert.equal(refused({ brokerId: toBrokerId(1) }), 'wrong-broker');
  assert.equal(refused({}, { sought: toBrokerId(3) }), 'wrong-broker');
  assert.equal(refused({}, { sought: toBrokerId(2) }), null);
});
