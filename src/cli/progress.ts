/** A bar on standard error, on a terminal only: a pipe or a log gets nothing. */

/** Between two drawings, milliseconds. */
const drawMs = 100;
const barChars = 24;

export interface Progress {
  /** @param done of `total`; what else there is to say comes behind it */
  show(done: number, total: number, more?: string): void;
  /** Takes the bar away, so that what follows begins in an empty line. */
  end(): void;
}

export function progress(what: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) return { show: () => undefined, end: () => undefined };
  let drawnMs = -Infinity;
  return {
    show(done, total, more = '') {
      const nowMs = performance.now();
      if (nowMs - drawnMs < drawMs) return;
      drawnMs = nowMs;
      const line = `${what} ${barOf(done, total)} ${done} of ${total}${more === '' ? '' : `, ${more}`}`;
      stream.write(`\r\u001b[K${line.slice(0, Math.max(0, (stream.columns || 80) - 1))}`);
    },
    end() {
      if (drawnMs > -Infinity) stream.write('\r\u001b[K');
    },
  };
}

/** `[######------]`; done is cut to 0 to total. */
export function barOf(done: number, total: number): string {
  const part = total <= 0 ? 1 : Math.min(1, Math.max(0, done / total));
  const full = Math.floor(part * barChars);
  return `[${'#'.repeat(full)}${'-'.repeat(barChars - full)}]`;
}
