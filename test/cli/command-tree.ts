/** Walks the tree of commands, for tests that hold for every command. */
import type { Command } from 'commander';

/** What `--help` shows below a command. */
const visible = (command: Command): readonly Command[] => command.createHelp().visibleCommands(command);

/** Every command with its path, families too. */
export function everyCommand(command: Command, path = command.name()): (readonly [path: string, command: Command])[] {
  return [[path, command], ...visible(command).flatMap((child) => everyCommand(child, `${path} ${child.name()}`))];
}

/** Every command that does something: those without subcommands, and those that take arguments beside them. */
export const leaves = (program: Command): readonly (readonly [path: string, command: Command])[] =>
  everyCommand(program).filter(
    ([, command]) => visible(command).length === 0 || command.registeredArguments.length > 0,
  );
