/** GroupService.Membership: lasts as long as a member lives, and tells it when to send a heartbeat. */
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import type { MembershipRequest, MembershipResponse } from '../gen/sluice/v1/group.ts';
import type { BrokerApi } from '../broker/requests.ts';
import type { Refused } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { CallDesk, Drainable } from './call-desk.ts';
import { callOver, shuttingDown } from './call-desk.ts';
import { FieldChecks } from './convert.ts';
import { memberRef } from './groups.ts';
import type { Incoming } from './incoming.ts';
import { statusObject } from './status.ts';

type Call = ServerDuplexStream<Incoming<MembershipRequest>, MembershipResponse>;

class MembershipStream implements Drainable {
  readonly #desk: CallDesk;
  readonly #broker: BrokerApi;
  readonly #call: Call;
  readonly #gone = new AbortController();
  #endWatch: (() => void) | null = null;
  /** A message has not left yet: what would be said next is the same, and is dropped. */
  #unsent = false;
  #over = false;

  constructor(desk: CallDesk, broker: BrokerApi, call: Call) {
    this.#desk = desk;
    this.#broker = broker;
    this.#call = call;
  }

  open(): void {
    const refused = this.#desk.enter(this);
    this.#call.on('cancelled', () => this.#leave());
    if (refused !== null) {
      this.#fail(refused);
      return;
    }
    this.#call.on('data', (incoming: Incoming<MembershipRequest>) => this.#receive(incoming));
    this.#call.on('end', () => this.#finish());
  }

  drain(): void {
    this.#fail(shuttingDown());
  }

  #receive(incoming: Incoming<MembershipRequest>): void {
    if (this.#over) return;
    const refused =
      incoming.kind === 'malformed'
        ? { kind: 'refused' as const, error: incoming.error }
        : this.#begin(incoming.message);
    if (refused !== null) this.#fail(refused);
  }

  #begin(message: MembershipRequest): Refused | null {
    if (this.#endWatch !== null) return refuse('INVALID_REQUEST', 'Only the first message names the member.');
    const checks = new FieldChecks();
    const member = checks.finish(memberRef(checks, message));
    if (member.kind === 'refused') return member;
    const listener = {
      heartbeatNow: (): void => this.#say(true),
      ended: (why: Refused): void => this.#fail(why),
    };
    const context = this.#desk.context(this.#gone.signal, null);
    const watched = this.#broker.watchMember(member.value, listener, context);
    if (watched.kind === 'refused') return watched;
    this.#endWatch = watched.value;
    this.#say(false);
    return null;
  }

  #say(heartbeatNow: boolean): void {
    if (this.#over || (heartbeatNow && this.#unsent)) return;
    this.#unsent = heartbeatNow;
    this.#call.write({ heartbeatNow }, () => {
      this.#unsent = false;
    });
  }

  /** The member has ended its side. */
  #finish(): void {
    if (this.#over) return;
    this.#leave();
    this.#call.end();
  }

  #fail(refused: Refused): void {
    if (this.#over) return;
    this.#leave();
    this.#call.emit('error', statusObject(refused.error));
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#endWatch?.();
    this.#gone.abort(callOver);
    this.#desk.leave(this);
  }
}

/** The handler of Membership. */
export function membershipStream(
  desk: CallDesk,
  broker: () => BrokerApi,
): handleBidiStreamingCall<Incoming<MembershipRequest>, MembershipResponse> {
  return (call) => new MembershipStream(desk, broker(), call).open();
}
