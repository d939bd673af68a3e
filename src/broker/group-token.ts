/**
 * Resume tokens: opaque to clients, 61 bytes.
 *
 *     version (1)  nonce (16 random bytes)  member id (36 ASCII)  check (8)
 *
 * The check binds a token to its tenant and group, so that a damaged or misplaced one is told from one whose member is
 * gone. What proves identity is the nonce; the group stores only its SHA-256.
 */
import { createHash } from 'node:crypto';
import type { Random } from '../model/random.ts';
import { randomUuid } from '../model/random.ts';
import type { Credentials } from './group/membership.ts';
import type { GroupRef } from './group/records.ts';
import { groupKeyOf } from './group/records.ts';

const tokenVersion = 1;
const nonceBytes = 16;
const memberIdBytes = 36;
const checkBytes = 8;
const checkedBytes = 1 + nonceBytes + memberIdBytes;

/** A token and what the group remembers of it. */
export interface IssuedToken {
  readonly token: Uint8Array;
  readonly credentials: Credentials;
}

/**
 * The token of a new member. For a join with an id (a random UUID, lower case) it is a function of that id, so that a retry
 * finds the member that the first try made, although the group stores no more of it than of any other.
 */
export function issueToken(group: GroupRef, joinId: string | null, random: Random): IssuedToken {
  const chance = joinId === null ? random : drawnFrom(group, joinId);
  const memberId = randomUuid(chance);
  const token = makeToken(group, chance.bytes(nonceBytes), memberId);
  return { token, credentials: credentialsOf(token) };
}

/** What was issued, for the member that it became: a static member that came back has the id that it had. */
export const tokenOfMember = (group: GroupRef, { token, credentials }: IssuedToken, memberId: string): Uint8Array =>
  memberId === credentials.memberId ? token : makeToken(group, token.subarray(1, 1 + nonceBytes), memberId);

function makeToken(group: GroupRef, nonce: Uint8Array, memberId: string): Uint8Array {
  const token = new Uint8Array(checkedBytes + checkBytes);
  token[0] = tokenVersion;
  token.set(nonce, 1);
  token.set(new TextEncoder().encode(memberId), 1 + nonceBytes);
  token.set(checkOf(group, token.subarray(0, checkedBytes)), checkedBytes);
  return token;
}

/** Bytes that only who knows the id can tell: what is public of a member (its id) does not give its nonce away. */
function drawnFrom(group: GroupRef, joinId: string): Pick<Random, 'bytes'> {
  let draws = 0;
  return {
    bytes: (count) => {
      const seed = ['join', groupKeyOf(group), joinId, String(draws++)].join('\0');
      return createHash('sha256').update(seed).digest().subarray(0, count);
    },
  };
}

/** Null: not a token, damaged, or another group's. */
export function readToken(group: GroupRef, token: Uint8Array): Credentials | null {
  if (token.length !== checkedBytes + checkBytes || token[0] !== tokenVersion) return null;
  const check = checkOf(group, token.subarray(0, checkedBytes));
  return check.every((byte, i) => byte === token[checkedBytes + i]) ? credentialsOf(token) : null;
}

function credentialsOf(token: Uint8Array): Credentials {
  const nonce = token.subarray(1, 1 + nonceBytes);
  const memberId = new TextDecoder().decode(token.subarray(1 + nonceBytes, checkedBytes));
  return { memberId, nonceHash: createHash('sha256').update(nonce).digest('hex') };
}

const checkOf = (group: GroupRef, bytes: Uint8Array): Uint8Array =>
  createHash('sha256').update(groupKeyOf(group)).update('\0').update(bytes).digest().subarray(0, checkBytes);
