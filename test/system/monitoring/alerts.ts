/**
 * A real Prometheus scrapes three brokers with traffic. Every query of the dashboards and every rule finds data; a broker
 * is killed, and the alerts that shall fire do, the others do not; it comes back, and they end. In the long run two are
 * killed then, and partitions have no leader.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { dashboards } from '../../../deploy/grafana/panels.ts';
import { until, wait } from '../broker/patience.ts';
import { ThreeBrokers, brokerIds } from '../cluster/three-brokers.ts';
import type { CaseResult } from '../report.ts';
import type { Sample } from './prometheus.ts';
import { Prometheus } from './prometheus.ts';
import { Traffic } from './traffic.ts';

const rulesFile = join(import.meta.dirname, '../../../deploy/prometheus/rules/sluice.rules.yaml');
/** How long the alerts that this case waits for have to hold; the others keep their times, which the machine could reach. */
const shortened: Readonly<Record<string, string>> = {
  SluiceBrokerDown: '3s',
  SluicePartitionsUnderReplicated: '5s',
  SluicePartitionsLeaderless: '20s',
};
const dataMsMax = 20_000;
const alertMsMax = 20_000;
/** Longer than what `shortened` has for partitions without a leader: they must have one by then. */
const watchMs = 25_000;
const victim = 2;

interface Rule {
  readonly alert: string;
  readonly expr: string;
  for: string;
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
}

export async function runAlerts(short: boolean): Promise<CaseResult> {
  const rules = parse(readFileSync(rulesFile, 'utf8')) as Rules;
  const all = rules.groups.flatMap((group) => group.rules);
  for (const rule of all) rule.for = shortened[rule.alert] ?? rule.for;
  const problems: string[] = [];
  const brokers = await ThreeBrokers.prepared();
  let [prometheus, traffic]: [Prometheus | null, Traffic | null] = [null, null];
  try {
    await brokers.start(brokerIds);
    // JSON is YAML too
    const targets = brokerIds.map((id) => brokers.httpPort(id));
    prometheus = await Prometheus.start({ rules: JSON.stringify(rules), targets });
    traffic = await Traffic.begin(brokers);
    const queries = await checkQueries(prometheus, all, problems);
    const healthy = await prometheus.firing();
    if (healthy.length > 0) problems.push(`healthy, and these fire: ${healthy.join(', ')}`);
    await brokers.kill([victim]);
    await expectFiring(prometheus, ['SluiceBrokerDown', 'SluicePartitionsUnderReplicated'], 'one killed', problems);
    await wait(watchMs);
    await expectFiring(prometheus, ['SluiceBrokerDown', 'SluicePartitionsUnderReplicated'], 'still dead', problems);
    await brokers.start([victim]);
    await expectFiring(prometheus, [], 'back again', problems);
    if (!short) {
      await brokers.kill([1, victim]);
      const expected = ['SluiceBrokerDown', 'SluicePartitionsLeaderless'];
      const fire = await until(async () => isIn(expected, await prometheus?.firing()), alertMsMax);
      if (!fire) problems.push(`two killed, and only these fire: ${(await prometheus.firing()).join(', ')}`);
    }
    for (const { name, health, lastError } of await prometheus.rules())
      if (health !== 'ok') problems.push(`${name}: ${health} ${lastError ?? ''}`);
    return {
      figures: { queries, rules: all.length, produced: traffic.produced, consumed: traffic.consumed },
      problems,
    };
  } finally {
    await traffic?.end();
    await prometheus?.end();
    await brokers.end();
  }
}

const isIn = (expected: readonly string[], firing: readonly string[] = []): boolean =>
  expected.every((name) => firing.includes(name));

/** Exactly these fire, soon. */
async function expectFiring(
  prometheus: Prometheus,
  expected: readonly string[],
  when: string,
  problems: string[],
): Promise<void> {
  const wanted = expected.join(', ');
  const reached = await until(async () => (await prometheus.firing()).join(', ') === wanted, alertMsMax);
  if (!reached)
    problems.push(`${when}: ${(await prometheus.firing()).join(', ') || 'nothing'} fires, not ${wanted || 'nothing'}`);
}

/** Answers with how many queries were asked. */
async function checkQueries(prometheus: Prometheus, rules: readonly Rule[], problems: string[]): Promise<number> {
  const ofPanels = dashboards.flatMap(({ title: dashboard, rows }) =>
    rows.flatMap(({ panels }) =>
      panels
        .filter(({ mayBeEmpty }) => mayBeEmpty !== true)
        .flatMap(({ title, queries }) =>
          queries.map(({ expr }) => ({ name: `${dashboard}: ${title}`, expr: filled(expr) })),
        ),
    ),
  );
  const ofRules = rules.flatMap(({ alert, expr }) => operands(expr).map((operand) => ({ name: alert, expr: operand })));
  let empty: readonly { readonly name: string; readonly expr: string }[] = [...ofPanels, ...ofRules];
  const asked = empty.length;
  await until(async () => {
    const answers = await Promise.all(
      empty.map(async (query) => ({ query, samples: await prometheus.query(query.expr) })),
    );
    empty = answers.filter(({ samples }) => !samples.some(isNumber)).map(({ query }) => query);
    return empty.length === 0;
  }, dataMsMax);
  for (const { name, expr } of empty) problems.push(`${name} finds nothing: ${expr}`);
  return asked;
}

const isNumber = ({ value: [, text] }: Sample): boolean => Number.isFinite(Number(text));

/** A query with everything chosen in the dashboard's variables. */
const filled = (expr: string): string =>
  expr.replaceAll(/\$(broker|topic|group)/g, '.*').replaceAll('$__rate_interval', '15s');

/** What a rule compares: that must be there at all times, also while the comparison does not hold. */
function operands(expr: string): readonly string[] {
  // a cluster without errors has no series with their codes
  const anyCode = expr.replace(/,code=~"[^"]*"/, '');
  return anyCode.split(/ and | or /).map((part) => part.replace(/ [<>] [^<>]*$/s, ''));
}
