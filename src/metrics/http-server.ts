/**
 * What Prometheus, Kubernetes and curl ask a broker over HTTP: whether it lives, whether it takes requests, and pages of
 * text. A page is computed once at a time: whoever asks meanwhile gets the same text, and past a number of those who wait
 * the answer is 503, so that a storm of scrapes costs what one scrape costs. Probes never wait for a page.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** Whether a broker takes requests, and why not. */
export interface Readiness {
  readonly ready: boolean;
  /** One line for people: "ready", or what it waits for. */
  readonly why: string;
}

/** Computes the text of a page. */
export type Page = () => Promise<string>;

export interface HttpServerOptions {
  readonly readiness: () => Readiness;
  /** By path, like "/metrics". */
  readonly pages: ReadonlyMap<string, Page>;
  readonly limits?: Partial<HttpLimits>;
  /** A page could not be computed: a defect, told to the asker as 500. */
  readonly onDefect: (defect: unknown) => void;
}

export interface HttpLimits {
  /** Connections; more are closed at once. */
  readonly connectionsMax: number;
  /** Requests that wait for one page; more are answered with 503. */
  readonly waitersPerPageMax: number;
  /** A request must have come completely by then, milliseconds. */
  readonly requestMsMax: number;
  /** An unused connection is closed after this time, milliseconds. Above the 15 s between two scrapes. */
  readonly idleMsMax: number;
}

export const httpLimitsDefault: HttpLimits = {
  connectionsMax: 128,
  waitersPerPageMax: 32,
  requestMsMax: 10_000,
  idleMsMax: 65_000,
};

/** Why the port can not be served; `message` is one line that says what to do. */
export class HttpBindError extends Error {
  override readonly name = 'HttpBindError';
}

/** The text format of Prometheus; also what the answers of probes are sent as. */
const contentType = 'text/plain; version=0.0.4; charset=utf-8';

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #limits: HttpLimits;
  readonly #server: Server;
  readonly #pages: ReadonlyMap<string, SharedPage>;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#limits = { ...httpLimitsDefault, ...options.limits };
    const { connectionsMax, requestMsMax, idleMsMax, waitersPerPageMax } = this.#limits;
    this.#pages = new Map([...options.pages].map(([path, page]) => [path, new SharedPage(page, waitersPerPageMax)]));
    this.#server = createServer({ requestTimeout: requestMsMax, keepAliveTimeout: idleMsMax }, (request, response) => {
      this.#answer(request, response).catch((defect: unknown) => {
        end(response, 500, 'A defect of Sluice; the broker’s log tells more.');
        options.onDefect(defect);
      });
    });
    this.#server.maxConnections = connectionsMax;
  }

  /** Listens; resolves with the port, which differs from `port` if that is 0. Rejects with HttpBindError. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        reject(new HttpBindError(advice(host, port, error), { cause: error }));
      };
      this.#server.once('error', failed);
      this.#server.listen(port, host, () => {
        this.#server.off('error', failed);
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Stops at once; what is being answered is cut. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = ''] = (request.url ?? '').split('?', 1);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      end(response, 405, 'Only GET and HEAD are answered here.');
    } else if (path === '/livez') {
      // that it answers is the proof: the event loop turns, and what is broken ends the process
      end(response, 200, 'live');
    } else if (path === '/readyz') {
      const { ready, why } = this.#options.readiness();
      end(response, ready ? 200 : 503, why);
    } else {
      await this.#answerPage(path, response);
    }
  }

  async #answerPage(path: string, response: ServerResponse): Promise<void> {
    const page = this.#pages.get(path);
    if (page === undefined) {
      const paths = [...this.#pages.keys(), '/livez', '/readyz'];
      end(response, 404, `There are ${paths.join(', ')}.`);
      return;
    }
    const text = page.text();
    if (text !== null) {
      end(response, 200, await text);
      return;
    }
    response.setHeader('retry-after', '1');
    end(response, 503, `More than ${this.#limits.waitersPerPageMax} wait for this page; ask again later.`);
  }
}

/** A page that is computed once at a time. */
class SharedPage {
  readonly #compute: Page;
  readonly #waitersMax: number;
  #underWay: Promise<string> | null = null;
  /** Invariant: who waits for `#underWay`; 0 if that is null. */
  #waiters = 0;

  constructor(compute: Page, waitersMax: number) {
    this.#compute = compute;
    this.#waitersMax = waitersMax;
  }

  /** Null: too many wait already. */
  text(): Promise<string> | null {
    if (this.#waiters >= this.#waitersMax) return null;
    this.#waiters += 1;
    this.#underWay ??= this.#compute().finally(() => {
      this.#underWay = null;
      this.#waiters = 0;
    });
    return this.#underWay;
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': contentType });
  response.end(text.endsWith('\n') ? text : `${text}\n`);
}

function advice(host: string, port: number, error: Error): string {
  const why = 'code' in error ? error.code : null;
  const at = `${host}:${port}`;
  if (why === 'EADDRINUSE')
    return `${at} is in use: stop what listens there, choose another port (listen.http.port), or do without metrics (listen.http.enabled=false)`;
  if (why === 'EACCES') return `${at} may not be used: choose a port above 1023 (listen.http.port)`;
  if (why === 'EADDRNOTAVAIL') return `${at} is not an address of this machine (listen.http.host)`;
  return `can not listen on ${at}: ${error.message} (listen.http.host, listen.http.port)`;
}
