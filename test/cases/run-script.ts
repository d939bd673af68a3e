/** Runs a script on a stage of its own and gives it back with the output that it has now. */
import { runCommand } from './commands.ts';
import type { Script } from './script.ts';
import { Stage } from './stage.ts';
import { Words } from './words.ts';

/** @throws Error that names the line of a command that is not understood */
export function runScript(script: Script): Script {
  const stage = new Stage();
  const blocks = script.blocks.map((block) => {
    block.commands.forEach((command, i) => {
      try {
        runCommand(stage, new Words(command));
      } catch (error) {
        throw new Error(`line ${block.line + i}: ${command}`, { cause: error });
      }
    });
    const said = stage.takeSaid();
    return { ...block, output: said.length > 0 ? said : ['ok'] };
  });
  return { ...script, blocks };
}
