/** A TCP proxy before a broker, whose connections a test breaks as a bad network does. */
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

export class ResetProxy {
  /** "host:port" that clients use. */
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #resets = 0;

  /** Listens at `port` of this host, and passes everything on to `target`. */
  static async open(port: number, target: number): Promise<ResetProxy> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return new ResetProxy(server, port, target);
  }

  private constructor(server: Server, port: number, target: number) {
    this.address = `127.0.0.1:${port}`;
    this.#server = server;
    server.on('connection', (near) => this.#join(near, connect(target, '127.0.0.1')));
  }

  /** Connections that were broken. */
  get resets(): number {
    return this.#resets;
  }

  /** Breaks every connection with an RST, whatever is on its way. */
  reset(): void {
    this.#resets += this.#sockets.size / 2;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(near: Socket, far: Socket): void {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined); // its close says enough
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  }
}
