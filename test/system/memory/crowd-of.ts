/** A crowd in a process of its own, held to a share of a processor from the moment on in which it begins. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CpuShare } from './cpu-share.ts';
import type { Crowd, CrowdMessage, CrowdOrder, CrowdTally } from './crowd.ts';

const program = fileURLToPath(new URL('crowd-process.ts', import.meta.url));

export class RunningCrowd {
  readonly #child: ChildProcess;
  readonly #share: CpuShare;

  static async begin(crowd: Crowd, cores: number): Promise<RunningCrowd> {
    const child = fork(program, { execArgv: ['--import', 'tsx'] });
    await once(child, 'message');
    const share = new CpuShare(cores);
    share.hold(child.pid ?? 0);
    child.send({ kind: 'begin', crowd } satisfies CrowdOrder);
    return new RunningCrowd(child, share);
  }

  private constructor(child: ChildProcess, share: CpuShare) {
    this.#child = child;
    this.#share = share;
  }

  async tally(): Promise<CrowdTally> {
    const answered = once(this.#child, 'message');
    this.#child.send({ kind: 'tell' } satisfies CrowdOrder);
    const [message] = (await answered) as [CrowdMessage];
    if (message.kind !== 'tally') throw new Error('the crowd said something else than what was asked');
    return message.tally;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exited;
    }
    this.#share.remove();
  }
}
