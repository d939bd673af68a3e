/**
 * Where the consumed flights end up: what a database would be in a real system. Keyed by (partition, offset), so that a
 * redelivered record changes nothing, and it counts what it saw.
 */
import type { Flight } from './flights.ts';

export interface Delivered {
  readonly partition: number;
  readonly offset: number;
  readonly flight: Pick<Flight, 'n' | 'origin' | 'delay'>;
}

export class Sink {
  readonly #seen: (number | undefined)[][] = [];
  readonly #byNumber = new Map<number, Pick<Flight, 'n' | 'origin' | 'delay'>>();
  readonly #lastOfKey = new Map<string, number>();
  /** Deliveries of an offset that had been delivered before. */
  redelivered = 0;
  /** Flights that came after a later flight of the same origin; redeliveries aside. */
  outOfOrder = 0;
  /** Flights that came at a second offset. */
  duplicated = 0;

  get distinct(): number {
    return this.#byNumber.size;
  }

  get flights(): Iterable<Pick<Flight, 'n' | 'origin' | 'delay'>> {
    return this.#byNumber.values();
  }

  has(n: number): boolean {
    return this.#byNumber.has(n);
  }

  /** Offset after the last one that was delivered of each partition. */
  get positions(): number[] {
    return this.#seen.map((offsets) => offsets.length);
  }

  take({ partition, offset, flight }: Delivered): void {
    const offsets = (this.#seen[partition] ??= []);
    if (offsets[offset] !== undefined) {
      this.redelivered += 1;
      return;
    }
    offsets[offset] = flight.n;
    if (this.#byNumber.has(flight.n)) {
      this.duplicated += 1;
      return;
    }
    this.#byNumber.set(flight.n, flight);
    if ((this.#lastOfKey.get(flight.origin) ?? -1) > flight.n) this.outOfOrder += 1;
    else this.#lastOfKey.set(flight.origin, flight.n);
  }
}
