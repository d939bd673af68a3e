/** The run's settings, from the variables that the command sets, or from `k6 run -e`. */
import { settingsFrom } from '../plans/settings.ts';

export const settings = settingsFrom(__ENV);
export const { topic } = settings;
export const group = settings.topic;
/** k6 has a tag "group" of its own, which means something else. */
export const groupTags = { consumer_group: group } as const;
