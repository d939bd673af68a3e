/** A broker's settings, for the command to look at without starting a broker. */
export { configJsonSchema, loadConfig } from '../../config.ts';
export type { Setting } from '../../config.ts';
