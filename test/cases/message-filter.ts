/** Picks messages: `1->2 append-request,append-reply t3 pre first 2`; every part may be left out. */
import { describeMessage } from '../../src/raft/core/describe.ts';
import type { Message } from '../../src/raft/core/messages.ts';

export class MessageFilter {
  readonly #tests: ((message: Message) => boolean)[] = [];
  readonly #first = Infinity;
  readonly #last = Infinity;

  constructor(words: readonly string[]) {
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      if (word === 'first') this.#first = Number(words[++i]);
      else if (word === 'last') this.#last = Number(words[++i]);
      else this.#tests.push(testOf(word));
    }
  }

  matches(message: Message): boolean {
    return this.#tests.every((test) => test(message));
  }

  /** Those that match, in order. */
  of(messages: readonly Message[]): Message[] {
    const matching = messages.filter((message) => this.matches(message)).slice(0, this.#first);
    return this.#last === Infinity ? matching : matching.slice(-this.#last);
  }
}

function testOf(word: string): (message: Message) => boolean {
  const [from = '', to = ''] = word.split('->');
  if (word.includes('->')) {
    return (message) => (from === '' || message.from === Number(from)) && (to === '' || message.to === Number(to));
  }
  if (/^t\d+$/.test(word)) return (message) => message.term === Number(word.slice(1));
  if (/^[a-z]+-[a-z,-]+$/.test(word)) {
    const kinds = word.split(',');
    return (message) => kinds.includes(message.kind);
  }
  if (/^[a-z]+$/.test(word)) return (message) => describeMessage(message).split(' ').includes(word);
  throw new Error(`no filter: ${word}`);
}
