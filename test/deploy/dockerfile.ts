/** Reads the Dockerfile, as far as it uses it, so that its steps can be replayed where there is no container engine. */

export interface Step {
  readonly instruction: string;
  /** What follows the instruction on its line. */
  readonly text: string;
}

export interface Stage {
  readonly image: string;
  /** Null: the last one. */
  readonly name: string | null;
  readonly steps: readonly Step[];
}

export function stagesOf(dockerfile: string): readonly Stage[] {
  const stages: { image: string; name: string | null; steps: Step[] }[] = [];
  for (const line of dockerfile.split('\n')) {
    const [, instruction = '', text = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? [];
    if (instruction === 'FROM') {
      const [image = '', , name = null] = text.split(' ');
      stages.push({ image, name, steps: [] });
    } else if (instruction !== '') stages.at(-1)?.steps.push({ instruction, text });
    else if (line !== '' && !line.startsWith('#'))
      throw new Error(`a line of the Dockerfile is not understood: ${line}`);
  }
  return stages;
}
