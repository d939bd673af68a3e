import { setTimeout as delay } from 'node:timers/promises';
import { Argument } from 'commander';
import type { Command } from 'commander';
import type { Admin } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { printImpact } from '../impact-output.ts';
import { wholeNumber } from '../option-values.ts';
import { formatOption } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { progress } from '../progress.ts';
import { note } from '../standard-output.ts';

/** How often it is looked how far a broker is, milliseconds. */
const lookMs = 500;
/** How long a drain is looked at before the command says that something is still led there, milliseconds. */
const drainMsMax = 30_000;

interface Options {
  readonly dryRun?: boolean;
  readonly output: Format;
}

export function addBrokerOperations(broker: Command): void {
  operation(broker, 'drain', 'have a broker lead nothing, until it is undrained').action(drain);
  operation(broker, 'undrain', 'end a drain or a decommissioning').action(undrain);
  operation(broker, 'decommission', 'move everything away from a broker and remove it')
    .option('--wait', 'return when it is gone')
    .action(decommission);
  operation(broker, 'replace', 'give up the disk of a dead broker for an empty one')
    .option('--incarnation <uuid>', 'only if this is its disk')
    .action(replace);
}

const operation = (broker: Command, name: string, description: string): Command =>
  broker
    .command(name)
    .description(description)
    .addArgument(new Argument('<id>', 'of the broker').argParser(wholeNumber(0, 2 ** 31 - 1)))
    .option('--dry-run', 'only say what would happen')
    .addOption(formatOption());

async function drain(id: number, { dryRun = false, output }: Options, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    await printImpact(output, await admin.drainBroker(id, { dryRun }));
    if (dryRun) return;
    const led = await leadsUntil(admin, id, drainMsMax);
    note(
      led === 0 ? `Broker ${id} leads nothing.` : `Broker ${id} still leads ${led} partitions that nobody else can.`,
    );
  });
}

/** Waits until the broker leads nothing, or the time is over; gives back what it leads then. */
async function leadsUntil(admin: Admin, id: number, msMax: number): Promise<number> {
  for (let passed = 0; ; passed += lookMs) {
    const { leaders } = (await admin.describeBroker(id)).replicas;
    if (leaders === 0 || passed >= msMax) return leaders;
    await delay(lookMs);
  }
}

async function undrain(id: number, { dryRun = false, output }: Options, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    await printImpact(output, await admin.undrainBroker(id, { dryRun }));
  });
}

async function decommission(
  id: number,
  { dryRun = false, wait = false, output }: Options & { readonly wait?: boolean },
  command: Command,
): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const { impact, ...begun } = await admin.decommissionBroker(id, { dryRun });
    await printImpact(output, impact, begun);
    let { replicasLeft, removed } = begun;
    const total = replicasLeft;
    const bar = progress('moves away');
    for (let told = -1; wait && !dryRun && !removed;) {
      if (replicasLeft !== told && !process.stderr.isTTY) note(`Broker ${id} has ${replicasLeft} replicas left.`);
      told = replicasLeft;
      bar.show(total - replicasLeft, total, 'replicas');
      await delay(lookMs);
      ({ replicasLeft, removed } = await admin.decommissionBroker(id));
    }
    bar.end();
    if (removed) note(`Broker ${id} is not part of the cluster.`);
  });
}

async function replace(
  id: number,
  { dryRun = false, incarnation, output }: Options & { readonly incarnation?: string },
  command: Command,
): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const disk = incarnation === undefined ? {} : { incarnation };
    await printImpact(output, await admin.replaceBroker(id, { dryRun, ...disk }));
    if (!dryRun) note(`Start broker ${id} on an empty data directory: it takes the place of the one that is gone.`);
  });
}
