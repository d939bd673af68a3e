/**
 * How `--help` looks: at every level it fits a screen of 80 columns and 24 lines. The flags that every command has are
 * told once, by `sluice --help`; the others name them in a line. A test holds every level to it.
 */
import type { Command, Help, HelpConfiguration, Option } from 'commander';
import { wrapped } from './output-table.ts';

const width = 80;
const indent = '  ';
/** Families with more verbs than this show two in a line. */
const linesOfCommandsMax = 12;

export const helpConfiguration: HelpConfiguration = {
  helpWidth: width,
  optionDescription,
  formatHelp,
};

/** `what: one, another (default)`. */
function optionDescription({ description, argChoices, defaultValue, defaultValueDescription }: Option): string {
  const choices = argChoices === undefined ? '' : `: ${argChoices.join(', ')}`;
  const initial = defaultValueDescription ?? (defaultValue as string | number | boolean | undefined);
  return `${description}${choices}${initial === undefined ? '' : ` (${initial})`}`;
}

function formatHelp(command: Command, helper: Help): string {
  const isProgram = command.parent === null;
  const usage = `Usage: ${helper.commandUsage(command)}`;
  const parts = isProgram
    ? [`${usage}\n${command.description()}`]
    : [usage, helper.boxWrap(`${capital(command.description())}.`, width)];
  const described = command.registeredArguments.filter(({ description }) => description !== '');
  if (described.length > 0)
    parts.push(`Arguments:\n${items(described.map((each) => [each.name(), helper.argumentDescription(each)]))}`);
  const commands = helper
    .visibleCommands(command)
    .map((each): Item => [each.name(), helper.subcommandDescription(each)]);
  if (commands.length > 0)
    parts.push(`Commands:\n${commands.length > linesOfCommandsMax ? pairs(commands) : items(commands)}`);
  const options = shownOptions(command, helper).map((each): Item => [
    helper.optionTerm(each),
    helper.optionDescription(each),
  ]);
  if (options.length > 0) parts.push(`Options:\n${items(options)}`);
  if (!isProgram) parts.push(globalsLine(command));
  return `${parts.join('\n\n')}\n`;
}

/** What `sluice --help` has of those that every command has: once is enough. */
const shownOptions = (command: Command, helper: Help): readonly Option[] =>
  helper.visibleOptions(command).filter(({ long }) => long !== (command.parent === null ? '--version' : '--help'));

type Item = readonly [term: string, description: string];

/** A line for each, the descriptions one below the other. */
function items(all: readonly Item[]): string {
  const column = Math.max(...all.map(([term]) => term.length)) + indent.length;
  const below = `\n${' '.repeat(indent.length + column)}`;
  const told = (description: string): string => wrapped(description, width - indent.length - column).join(below);
  return all.map(([term, description]) => `${indent}${term.padEnd(column)}${told(description)}`.trimEnd()).join('\n');
}

/** Two in a line, down the first column and then down the second. */
function pairs(all: readonly Item[]): string {
  const half = Math.ceil(all.length / 2);
  const lines = items(all).split('\n');
  const column = width / 2;
  return lines
    .slice(0, half)
    .map((line, at) => `${line.padEnd(column)}${(lines[half + at] ?? '').trimStart()}`.trimEnd())
    .join('\n');
}

function globalsLine(command: Command): string {
  const own = new Set(command.options.map(({ long }) => long));
  const root = rootOf(command);
  const names = root.options.flatMap(({ hidden, long }) => (hidden || own.has(long) ? [] : [long ?? '']));
  return `Also: ${[...names.filter((name) => name !== '--version'), '--help'].join(' ')}`;
}

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent));

const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
