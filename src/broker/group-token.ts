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

export function issueToken(group: GroupRef, random: Random): IssuedToken {
  const memberId = randomUuid(random);
  const token = new Uint8Array(checkedBytes + checkBytes);
  token[0] = tokenVersion;
  token.set(random.bytes(nonceBytes), 1);
  token.set(new TextEncoder().encode(memberId), 1 + nonceBytes);
  token.set(checkOf(group, token.subarray(0, checkedBytes)), checkedBytes);
  return { token, credentials: credentialsOf(token) };
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
