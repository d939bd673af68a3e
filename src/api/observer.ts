/** What the front door reports; metrics/ counts it. Called synchronously, once a request: implementations must be quick. */
import type { ErrorCode } from '../model/errors.ts';

/** How a request ended. `CANCELLED`: its caller was gone before there was an answer. */
export type AnswerCode = ErrorCode | 'OK' | 'CANCELLED';

export interface ApiObserver {
  /** Now, on a clock of the observer's own choice, seconds. What is handed back to it as `began`. */
  moment(): number;
  /**
   * A request was answered: an unary call, or one message of a stream.
   * @param method name in the contract, like "Produce"
   * @param began null: how long it took says nothing (a stream waits for data)
   */
  answered(method: string, code: AnswerCode, began: number | null): void;
  /** The reply to a message of a stream has left whose outcome was known at the moment `known`. */
  replied(method: string, known: number): void;
  /** A request was refused because of a limit of the front door, by its name in limits.ts. */
  limitReached(limit: string): void;
}

/** Hears everything and does nothing. */
export const silentApiObserver: ApiObserver = {
  moment: () => 0,
  answered: () => undefined,
  replied: () => undefined,
  limitReached: () => undefined,
};
