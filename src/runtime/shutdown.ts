/**
 * How the process ends. Three ways: asked to (SIGTERM, SIGINT: orderly, exit code 0), asked twice (at once, exit code 1),
 * or broken (a defect or a failed disk: one log line, exit code 1). A state machine that met a defect must not limp on;
 * what was acknowledged is on disk already.
 */
import type { Logger } from './logger.ts';

/** The parts of the process that this file touches, so that tests can stand in. */
export interface ProcessEdge {
  on(event: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  on(event: 'unhandledRejection' | 'uncaughtException', listener: (reason: unknown) => void): unknown;
  exit(code: number): unknown;
}

export interface ShutdownStep {
  readonly name: string;
  run(): Promise<void> | void;
}

/** An orderly shutdown that takes longer than this ends with exit code 1. */
export const shutdownMsMax = 30_000;

export class Shutdown {
  readonly #process: ProcessEdge;
  readonly #logger: Logger;
  #steps: readonly ShutdownStep[] = [];
  #began = false;
  #ended = false;

  constructor(process: ProcessEdge, logger: Logger) {
    this.#process = process;
    this.#logger = logger;
  }

  /** What an orderly shutdown does, in order. May be replaced while the broker starts up. */
  setSteps(steps: readonly ShutdownStep[]): void {
    this.#steps = steps;
  }

  /** Listens for signals and for what nobody caught. */
  install(): void {
    this.#process.on('SIGTERM', () => this.signalled('SIGTERM'));
    this.#process.on('SIGINT', () => this.signalled('SIGINT'));
    this.#process.on('unhandledRejection', (reason) => this.fail(reason));
    this.#process.on('uncaughtException', (reason) => this.fail(reason));
  }

  signalled(signal: string): void {
    if (this.#began) {
      this.#logger.warn({ signal }, 'second signal: ending at once');
      this.#end(1);
      return;
    }
    this.#began = true;
    this.#logger.info({ signal }, 'shutting down');
    setTimeout(() => this.fail(new Error(`the shutdown took longer than ${shutdownMsMax} ms`)), shutdownMsMax).unref();
    void this.#runSteps();
  }

  /** Ends the process because something is broken. Only the first cause is told. */
  fail(cause: unknown): void {
    if (this.#ended) return;
    // an Error is written with its stack and the chain of its causes
    const err = cause instanceof Error ? cause : new Error(String(cause));
    this.#logger.error({ err }, 'broken: the process ends');
    this.#end(1);
  }

  async #runSteps(): Promise<void> {
    for (const step of this.#steps) {
      try {
        await step.run();
        this.#logger.info({ step: step.name }, 'shutdown step done');
      } catch (error) {
        this.fail(error);
        return;
      }
    }
    this.#end(0);
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#process.exit(code);
  }
}
