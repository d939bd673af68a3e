import { setTimeout as delay } from 'node:timers/promises';
import { Argument, Option } from 'commander';
import type { Command } from 'commander';
import type { Admin } from '../../../clients/typescript/src/index.ts';
import { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { CommandError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { spanMs, wholeNumber } from '../option-values.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { lacksQuorumWithout } from '../quorum-without.ts';
import { note } from '../standard-output.ts';

/** How often it is looked, milliseconds. */
const lookMs = 500;
const withinMsDefault = 60_000;
/** A broker that answers nothing for so long is not waited for: it takes part in nothing that its end could harm, milliseconds. */
const silentMsMax = 10_000;

export function addBrokerAwaitQuorum(broker: Command): void {
  broker
    .command('await-quorum')
    .description('wait until the cluster does without a broker, before that one stops')
    .addArgument(new Argument('<id>', 'of the broker that will stop').argParser(wholeNumber(0, 2 ** 31 - 1)))
    .addOption(new Option('--within <span>', 'give up after this time (default: 60s)').argParser(spanMs))
    .addOption(formatOption())
    .action(awaitQuorum);
}

async function awaitQuorum(
  id: number,
  { within = withinMsDefault, output }: { readonly within?: number; readonly output: Format },
  command: Command,
): Promise<void> {
  const beganMs = performance.now();
  let answeredMs = beganMs;
  await withClient(command, async ({ admin }) => {
    for (let told = ''; ;) {
      const look = await whatLacks(admin, id);
      if (look.lacks === null) {
        await printOne(output, { brokerId: id, waitedMs: int64(Math.round(performance.now() - beganMs)) }, () => '');
        note(`The cluster does without broker ${id}.`);
        return;
      }
      const nowMs = performance.now();
      if (look.answered) answeredMs = nowMs;
      if (look.lacks !== told) note(`waits: ${look.lacks}`);
      told = look.lacks;
      if (nowMs - beganMs >= within || nowMs - answeredMs >= silentMsMax)
        throw new CommandError(
          exitCodes.unavailable,
          `The cluster can not do without broker ${id} yet: ${look.lacks}.`,
        );
      await delay(lookMs);
    }
  });
}

interface Look {
  /** Null: nothing. */
  readonly lacks: string | null;
  /** Whether a broker that takes requests said so. */
  readonly answered: boolean;
}

async function whatLacks(admin: Admin, id: number): Promise<Look> {
  try {
    const { refusals } = await admin.drainBroker(id, { dryRun: true });
    const [refusal] = refusals;
    if (refusal?.code === 'BROKER_ID_NOT_REGISTERED') return { lacks: null, answered: true };
    if (refusal !== undefined) return { lacks: refusal.message, answered: true };
    const topics = await admin.listTopics({ includeInternal: true });
    for (const { name } of topics) {
      const lacks = lacksQuorumWithout(id, [await admin.describeTopic(name)]);
      if (lacks !== null) return { lacks, answered: true };
    }
    return { lacks: null, answered: true };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    if (error.code === 'BROKER_ID_NOT_REGISTERED') return { lacks: null, answered: true };
    // deleted between the list and the look, or a leader that changes: the next look tells
    if (error.code === 'UNKNOWN_TOPIC_OR_PARTITION') return { lacks: error.message, answered: true };
    if (!error.retriable && !error.indeterminate) throw error;
    return { lacks: error.message, answered: false };
  }
}
