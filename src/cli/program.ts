/** The tree of commands. One file per command in commands/; what is not in this tree does not exist. */
import { Command } from 'commander';
import { addBrokerAwaitQuorum } from './commands/broker-await-quorum.ts';
import { addBrokerDescribe } from './commands/broker-describe.ts';
import { addBrokerOperations } from './commands/broker-operations.ts';
import { addClusterInfo } from './commands/cluster-info.ts';
import { addFinalizeUpgrade } from './commands/cluster-finalize.ts';
import { addConsume } from './commands/consume.ts';
import { addDev } from './commands/dev.ts';
import { addGroupDelete } from './commands/group-delete.ts';
import { addGroupDescribe, addGroupMembers } from './commands/group-describe.ts';
import { addGroupLag } from './commands/group-lag.ts';
import { addGroupList } from './commands/group-list.ts';
import { addGroupOffsets } from './commands/group-offsets.ts';
import { addGroupReset } from './commands/group-reset.ts';
import { addPartitionDeleteRecords } from './commands/partition-delete-records.ts';
import { addPartitionOperations } from './commands/partition-operations.ts';
import { addProduce } from './commands/produce.ts';
import { addServerStart } from './commands/server-start.ts';
import { addTopicAlter } from './commands/topic-alter.ts';
import { addTopicCreate } from './commands/topic-create.ts';
import { addTopicDelete } from './commands/topic-delete.ts';
import { addTopicDescribe } from './commands/topic-describe.ts';
import { addTopicGrowth } from './commands/topic-growth.ts';
import { addTopicList } from './commands/topic-list.ts';
import { addVersion } from './commands/version.ts';
import { addWhy } from './commands/why.ts';
import { addGlobalOptions } from './connection.ts';
import { exitCodeMeanings } from './exit-codes.ts';
import { packageVersion } from './package-version.ts';

export function buildProgram(): Command {
  const program = addGlobalOptions(new Command('sluice'))
    .description('Talks to Sluice brokers, and runs them.')
    .version(packageVersion(), '--version', 'show the version')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined }) // main.ts says it, in one line
    .exitOverride()
    .addHelpText('after', exitCodeHelp());

  addDev(program);
  addServerStart(family(program, 'server', 'run a broker'));
  const topic = family(program, 'topic', 'create, look at, change and delete topics');
  addTopicCreate(topic);
  addTopicList(topic);
  addTopicDescribe(topic);
  addTopicAlter(topic);
  addTopicGrowth(topic);
  addTopicDelete(topic);
  addProduce(program);
  addConsume(program);
  const group = family(program, 'group', 'look at, reset and delete consumer groups');
  addGroupList(group);
  addGroupDescribe(group);
  addGroupMembers(group);
  addGroupLag(group);
  addGroupOffsets(group);
  addGroupReset(group);
  addGroupDelete(group);
  const cluster = family(program, 'cluster', 'look at the cluster, and complete an upgrade');
  addClusterInfo(cluster);
  addFinalizeUpgrade(cluster);
  const broker = family(program, 'broker', 'look at, drain, remove and replace brokers');
  addBrokerDescribe(broker);
  addBrokerOperations(broker);
  addBrokerAwaitQuorum(broker);
  const partition = family(program, 'partition', 'move replicas and leaderships, and delete records');
  addPartitionOperations(partition);
  addPartitionDeleteRecords(partition);
  addWhy(program);
  addVersion(program);
  return program;
}

/** A noun whose verbs are subcommands. */
const family = (program: Command, name: string, description: string): Command =>
  program.command(name).description(description).helpCommand(false);

/** The names of the commands that lead to the one that `argv` means, as far as they exist. */
export function pathOf(command: Command, argv: readonly string[]): string {
  for (const [at, word] of argv.entries()) {
    const next = command.commands.find((child) => isNameOf(child, word));
    if (next !== undefined) return `${command.name()} ${pathOf(next, argv.slice(at + 1))}`;
  }
  return command.name();
}

const isNameOf = (command: Command, word: string): boolean =>
  command.name() === word || command.aliases().includes(word);

function exitCodeHelp(): string {
  const all = exitCodeMeanings.map(({ code, name }) => `${code} ${name}`);
  return `\nExit codes: ${all.slice(0, 5).join(', ')},\n            ${all.slice(5).join(', ')}`;
}
