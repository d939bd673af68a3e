/**
 * Puts replies that become known in any order into the order of their requests, for each partition on its own: a slow
 * partition does not hold up the others.
 *
 * Invariant: reply-order-1: within a lane replies leave in the order in which `open` was called, each once.
 */
import { assert } from '../model/assert.ts';

interface Slot<Reply> {
  /** Null: not known yet. */
  reply: Reply | null;
}

export class ReplyOrder<Reply extends object> {
  readonly #emit: (reply: Reply) => void;
  readonly #lanes = new Map<string, Slot<Reply>[]>();

  /** @param emit takes the replies in order */
  constructor(emit: (reply: Reply) => void) {
    this.#emit = emit;
  }

  /** Keeps a place in a lane. Call the answer once, with the reply. */
  open(lane: string): (reply: Reply) => void {
    const slot: Slot<Reply> = { reply: null };
    const slots = this.#lanes.get(lane);
    if (slots === undefined) this.#lanes.set(lane, [slot]);
    else slots.push(slot);
    return (reply) => {
      assert(slot.reply === null, 'reply-order-1: a request is answered once', lane);
      slot.reply = reply;
      this.#flush(lane);
    };
  }

  #flush(lane: string): void {
    const slots = this.#lanes.get(lane) ?? [];
    let ready = 0;
    while (slots[ready]?.reply) ready++;
    if (ready === slots.length) this.#lanes.delete(lane);
    for (const { reply } of slots.splice(0, ready)) if (reply !== null) this.#emit(reply);
  }
}
