import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { HttpServerOptions } from '../../src/metrics/http-server.ts';
import { HttpBindError, HttpServer } from '../../src/metrics/http-server.ts';

const ready = { ready: true, why: 'ready' };

async function serve(t: TestContext, options: Partial<HttpServerOptions>): Promise<string> {
  const server = new HttpServer({
    readiness: () => ready,
    pages: new Map(),
    onDefect: (defect) => assert.fail(String(defect)),
    ...options,
  });
  t.after(() => server.close());
  return `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
}

/** Status and text of an answer. */
async function get(url: string, init: RequestInit = {}): Promise<readonly [number, string]> {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
}

test('probes: it lives as long as it answers, and says why it takes no requests', async (t) => {
  let readiness = { ready: false, why: 'it catches up with the catalog' };
  const url = await serve(t, { readiness: () => readiness });
  assert.deepEqual(await get(`${url}/livez`), [200, 'live\n']);
  assert.deepEqual(await get(`${url}/readyz?verbose`), [503, 'it catches up with the catalog\n']);
  readiness = ready;
  assert.deepEqual(await get(`${url}/readyz`), [200, 'ready\n']);
});

test('what is not there is answered with what is, and nothing can be changed', async (t) => {
  const url = await serve(t, { pages: new Map([['/metrics', () => Promise.resolve('m 1\n')]]) });
  assert.deepEqual(await get(`${url}/metrics`), [200, 'm 1\n']);
  assert.deepEqual(await get(`${url}/`), [404, 'There are /metrics, /livez, /readyz.\n']);
  assert.equal((await get(`${url}/metrics`, { method: 'POST', body: 'x' }))[0], 405);
  assert.equal((await get(`${url}/metrics`, { method: 'HEAD' }))[1], '');
});

test('a storm of scrapes costs one scrape: who comes meanwhile shares it, past the limit it is 503', async (t) => {
  let computed = 0;
  let release = (): void => undefined;
  const page = async (): Promise<string> => {
    computed += 1;
    await new Promise<void>((resolve) => (release = resolve));
    return `computed ${computed}\n`;
  };
  const url = await serve(t, { pages: new Map([['/metrics', page]]), limits: { waitersPerPageMax: 3 } });
  const answers = [1, 2, 3, 4].map(() => get(`${url}/metrics`));
  const [status, text] = await Promise.race(answers);
  assert.equal(status, 503);
  assert.match(text, /More than 3 wait/);
  assert.deepEqual(await get(`${url}/livez`), [200, 'live\n'], 'probes do not wait for a page');
  release();
  const settled = (await Promise.all(answers)).filter(([code]) => code !== 503);
  assert.deepEqual(settled, Array<unknown>(3).fill([200, 'computed 1\n']));
  const later = get(`${url}/metrics`);
  await until(() => computed === 2);
  release();
  assert.deepEqual(await later, [200, 'computed 2\n'], 'the next one is computed anew');
});

test('a page that can not be computed is told as such, and reported', async (t) => {
  const defects: unknown[] = [];
  const broken = new Error('broken');
  const pages = new Map([['/metrics', () => Promise.reject(broken)]]);
  const url = await serve(t, { pages, onDefect: (defect) => defects.push(defect) });
  assert.equal((await get(`${url}/metrics`))[0], 500);
  assert.deepEqual(defects, [broken]);
});

test('a port in use is named, with what can be done', async (t) => {
  const port = Number(new URL(await serve(t, {})).port);
  const second = new HttpServer({ readiness: () => ready, pages: new Map(), onDefect: () => undefined });
  await assert.rejects(
    second.listen('127.0.0.1', port),
    (error) => error instanceof HttpBindError && error.message.includes(`127.0.0.1:${port} is in use`),
  );
  await second.close();
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
