/** What an operation does, or would do: as JSON with the names of the API, and for people. */
import type { Impact } from '../../clients/typescript/src/index.ts';
import { int64, printOne } from './output-format.ts';
import type { Format, Json } from './output-format.ts';
import { facts } from './output-table.ts';
import { note } from './standard-output.ts';

/** Partitions at risk that people are shown. */
const risksShown = 10;

const impactJson = (impact: Impact): { readonly [key: string]: Json } => ({
  bytesToMove: int64(impact.bytesToMove),
  partitionsOfUnknownSize: impact.partitionsOfUnknownSize,
  replicasToMove: impact.replicasToMove,
  partitionsAffected: impact.partitionsAffected,
  leadersToMove: impact.leadersToMove,
  partitionsAtRisk: impact.partitionsAtRisk.map(({ topic, partition, reason }) => ({ topic, partition, reason })),
  partitionsAtRiskCount: impact.partitionsAtRiskCount,
  refusals: impact.refusals.map(({ code, message }) => ({ code, message })),
  warnings: [...impact.warnings],
});

const bytesOf = ({ bytesToMove, partitionsOfUnknownSize }: Impact): string => {
  if (bytesToMove === null) return 'unknown';
  return partitionsOfUnknownSize === 0 ? `${bytesToMove}` : `${bytesToMove}, and ${partitionsOfUnknownSize} unknown`;
};

const impactFacts = (impact: Impact): string =>
  facts([
    ['partitions affected', impact.partitionsAffected],
    ['replicas to move', impact.replicasToMove],
    ['bytes to move', bytesOf(impact)],
    ['leaders to move', impact.leadersToMove ?? 'unknown'],
    ['partitions at risk', impact.partitionsAtRiskCount],
  ]);

/**
 * Prints the impact; rejects with the first reason for which a dry run would be refused.
 * @param more facts beside the impact, in JSON only
 */
export async function printImpact(
  format: Format,
  impact: Impact,
  more: { readonly [key: string]: Json } = {},
): Promise<void> {
  await printOne(format, { ...impactJson(impact), ...more }, () => impactFacts(impact));
  for (const { topic, partition, reason } of impact.partitionsAtRisk.slice(0, risksShown))
    note(`at risk: ${topic}/${partition}: ${reason}`);
  if (impact.partitionsAtRiskCount > risksShown)
    note(`at risk: ${impact.partitionsAtRiskCount - risksShown} more; -o json shows the first 100`);
  for (const warning of impact.warnings) note(`note: ${warning}`);
  const [refusal] = impact.refusals;
  if (refusal !== undefined) throw refusal;
}
