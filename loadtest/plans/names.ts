/** What can be run: the scripts and how hard. */

export const scriptNames = ['produce', 'fetch', 'end-to-end', 'group-churn'] as const;
export type ScriptName = (typeof scriptNames)[number];

/** `smoke`: does it work at all, in seconds. `baseline`: a steady load for a minute. `spike`: a burst, and what follows. */
export const profileNames = ['smoke', 'baseline', 'spike'] as const;
export type ProfileName = (typeof profileNames)[number];
