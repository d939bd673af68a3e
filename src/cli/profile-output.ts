/** A profile as JSON and for people. */
import type { Json } from './output-format.ts';
import type { Profile } from './profiles.ts';

export const profileJson = (name: string, profile: Profile, current: boolean): Json => ({
  name,
  current,
  brokers: profile.brokers ?? null,
  timeout: profile.timeout ?? null,
  requestTimeout: profile.requestTimeout ?? null,
  color: profile.color ?? null,
});

export const profileFacts = (name: string, profile: Profile, current: boolean): [string, string][] => [
  ['profile', current ? `${name} (in use)` : name],
  ...Object.entries(profile).map(([setting, value]): [string, string] => [setting, value]),
];
