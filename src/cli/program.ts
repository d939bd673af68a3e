/** The tree of commands. One file per command in commands/; what is not in this tree does not exist. */
import { Command } from 'commander';
import { addBrokerAwaitQuorum } from './commands/broker-await-quorum.ts';
import { addBrokerDescribe } from './commands/broker-describe.ts';
import { addBrokerOperations } from './commands/broker-operations.ts';
import { addClusterDisks } from './commands/cluster-disks.ts';
import { addClusterHealth } from './commands/cluster-health.ts';
import { addBrokerList, addClusterInfo } from './commands/cluster-info.ts';
import { addClusterPartitions } from './commands/cluster-partitions.ts';
import { addFinalizeUpgrade } from './commands/cluster-finalize.ts';
import { addComplete, addCompletion } from './commands/completion.ts';
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
import { addPartitionStatus } from './commands/partition-status.ts';
import { addProduce } from './commands/produce.ts';
import { addProfileChanges } from './commands/profile-changes.ts';
import { addProfileShow } from './commands/profile-show.ts';
import { addServerConfig } from './commands/server-config.ts';
import { addServerStart } from './commands/server-start.ts';
import { addStorage } from './commands/storage.ts';
import { addTopicAlter } from './commands/topic-alter.ts';
import { addTopicCreate } from './commands/topic-create.ts';
import { addTopicDelete } from './commands/topic-delete.ts';
import { addTopicDescribe } from './commands/topic-describe.ts';
import { addTopicGrowth } from './commands/topic-growth.ts';
import { addTopicList } from './commands/topic-list.ts';
import { addTopicOffsets } from './commands/topic-offsets.ts';
import { addTopicTruncate } from './commands/topic-truncate.ts';
import { addVersion } from './commands/version.ts';
import { addWhy } from './commands/why.ts';
import { addGlobalOptions, applyGlobalOptions, applyProfile } from './connection.ts';
import { exitCodeMeanings } from './exit-codes.ts';
import { helpConfiguration } from './help.ts';
import { packageVersion } from './package-version.ts';

/** Commands that talk to no broker: a profile is nothing to them. */
const withoutBrokers: ReadonlySet<string> = new Set(['dev', 'server', 'storage', 'profile', 'completion', 'version']);

export function buildProgram(): Command {
  const program = addGlobalOptions(new Command('sluice'))
    .description('Talks to Sluice brokers, and runs them.')
    .usage('<command> [options]')
    .version(packageVersion(), '--version', 'show the version')
    .helpCommand(false)
    .configureHelp(helpConfiguration)
    .configureOutput({ outputError: () => undefined }) // main.ts says it, in one line
    .exitOverride()
    .addHelpText('after', exitCodeHelp())
    .hook('preAction', (_, command) => {
      if (!withoutBrokers.has(familyOf(command))) applyProfile(program);
      applyGlobalOptions(program);
    });

  addDev(program);
  const server = family(program, 'server', 'run a broker', 'run a broker as in production, and check its settings');
  addServerStart(server);
  addServerConfig(server);
  const topic = family(program, 'topic', 'create, change, delete', 'create, look at, change and delete topics');
  addTopicCreate(topic);
  addTopicList(topic);
  addTopicDescribe(topic);
  addTopicAlter(topic);
  addTopicGrowth(topic);
  addTopicOffsets(topic);
  addTopicTruncate(topic);
  addTopicDelete(topic);
  addProduce(program);
  addConsume(program);
  const group = family(program, 'group', 'consumer groups', 'look at, reset and delete consumer groups');
  addGroupList(group);
  addGroupDescribe(group);
  addGroupMembers(group);
  addGroupLag(group);
  addGroupOffsets(group);
  addGroupReset(group);
  addGroupDelete(group);
  const cluster = family(
    program,
    'cluster',
    'brokers, health, upgrade',
    'look at the cluster, and complete an upgrade',
  );
  addClusterInfo(cluster);
  addClusterHealth(cluster);
  addBrokerList(cluster, 'members');
  addClusterPartitions(cluster);
  addClusterDisks(cluster);
  addFinalizeUpgrade(cluster);
  const partition = family(
    program,
    'partition',
    'move, lead, truncate',
    'move replicas and leaderships, and delete records',
  );
  addPartitionStatus(partition);
  addPartitionOperations(partition);
  addPartitionDeleteRecords(partition);
  const broker = family(program, 'broker', 'drain, remove, replace', 'look at, drain, remove and replace brokers');
  addBrokerList(broker, 'list');
  addBrokerDescribe(broker);
  addBrokerOperations(broker);
  addBrokerAwaitQuorum(broker);
  addWhy(program);
  addStorage(family(program, 'storage', 'a data directory', 'look at a data directory while no broker runs there'));
  const profile = family(program, 'profile', 'settings under a name', 'keep settings of this command under names');
  addProfileChanges(profile);
  addProfileShow(profile);
  addCompletion(program);
  addComplete(program);
  addVersion(program);
  return program;
}

/** A noun whose verbs are subcommands. */
const family = (program: Command, name: string, summary: string, description = summary): Command =>
  program.command(name).summary(summary).description(description).usage('<command> [options]').helpCommand(false);

/** The first word after `sluice`. */
function familyOf(command: Command): string {
  const { parent } = command;
  return parent === null || parent.parent === null ? command.name() : familyOf(parent);
}

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
  return `\nExit codes: ${all.slice(0, 6).join(', ')},\n            ${all.slice(6).join(', ')}`;
}
