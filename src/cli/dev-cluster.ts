/** What the brokers of `sluice dev` are started with: ports, a data directory each, and the founders that they share. */
import { mkdir, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CommandError, usageError } from './command-error.ts';
import { exitCodes } from './exit-codes.ts';

/** A cluster is founded by at most so many; more would have to join it. */
const brokersMax = 7;
/** Broker n listens so many ports above broker 0 (design, section 3). */
const portStep = 10;
/** And for metrics and health so many above its client port: 9464 where that is 9400. */
const httpPortStep = 64;
const portMax = 65_535;
const host = '127.0.0.1';

/** The number of brokers that `--brokers` asks for. Odd: an even number survives no more deaths than one less. */
export function brokerCountOf(text: string): number {
  const count = /^\d$/.test(text) ? Number(text) : 0;
  if (count % 2 === 1 && count <= brokersMax) return count;
  throw usageError(`With "sluice dev", --brokers is how many brokers to run: 1, 3, 5 or ${brokersMax}, not "${text}".`);
}

export interface DevCluster {
  /** Number of brokers, odd, 1 to 7. */
  readonly count: number;
  /** Client port of broker 0; its port for other brokers is one above, that for metrics 64. 0: any free ports. */
  readonly port: number;
  /** Broker n keeps its data in the folder `n` of it. Made if it is missing. */
  readonly directory: string;
}

/** The arguments of every broker's process, at the index of its id. */
export async function devSettings({ count, port, directory }: DevCluster): Promise<readonly (readonly string[])[]> {
  const last = port + portStep * (count - 1) + httpPortStep;
  if (last > portMax) throw usageError(`--port ${port} is too high: the brokers would need ports up to ${last}.`);
  await checkDirectory(directory, count);
  const peerPorts =
    port === 0 ? await freePorts(count) : Array.from({ length: count }, (_, id) => port + portStep * id + 1);
  const founders = peerPorts.map((peerPort, id) => `${id}@${host}:${peerPort}`).join(',');
  return peerPorts.map((peerPort, id) => [
    `--set=broker.id=${id}`,
    `--set=listen.client.port=${port === 0 ? 0 : port + portStep * id}`,
    `--set=listen.broker.port=${peerPort}`,
    `--set=listen.http.port=${port === 0 ? 0 : port + portStep * id + httpPortStep}`,
    `--set=cluster.founders=${founders}`,
    `--set=storage.dataDir=${join(directory, String(id))}`,
  ]);
}

/**
 * Founders agree once: brokers added to their list later would wait for ever for the others to found with them, and
 * brokers left away could be the majority.
 */
async function checkDirectory(directory: string, count: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  const held = (await readdir(directory)).filter((name) => /^\d$/.test(name)).length;
  if (held === 0 || held === count) return;
  throw new CommandError(
    exitCodes.usage,
    `${directory} holds the data of ${held} ${held === 1 ? 'broker' : 'brokers'}: start with --brokers ${held}, or choose another --data-dir.`,
  );
}

/** Ports that were free a moment ago, all different. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, host);
      await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
