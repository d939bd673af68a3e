/** The first flights of vega-datasets' flights-3m.parquet: real records to send through a broker. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

export interface Flight {
  /** Position in the file, from 0: the record's identity. */
  readonly n: number;
  readonly date: string;
  /** Minutes; negative: early. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
  /** IATA code of the airport. */
  readonly origin: string;
  readonly destination: string;
}

export async function readFlights(count: number): Promise<Flight[]> {
  // the package exports its script only; the data lies beside it
  const file = path.join(packageFolder('vega-datasets'), 'data/flights-3m.parquet');
  const rows = await parquetReadObjects({
    file: await asyncBufferFromFile(file),
    compressors,
    rowStart: 0,
    rowEnd: count,
  });
  return rows.map((row, n) => ({
    n,
    date: (row['date'] as Date).toISOString(),
    delay: Number(row['delay']),
    distance: Number(row['distance']),
    origin: String(row['origin']),
    destination: String(row['destination']),
  }));
}

function packageFolder(name: string): string {
  const entry = fileURLToPath(import.meta.resolve(name));
  return entry.slice(0, entry.lastIndexOf(path.join('node_modules', name)) + path.join('node_modules', name).length);
}

export interface OriginDelay {
  readonly origin: string;
  readonly flights: number;
  readonly meanDelay: number;
}

/** The ten origins of worst mean delay among those with at least `flightsMin` flights. */
export function worstOrigins(flights: Iterable<Pick<Flight, 'origin' | 'delay'>>, flightsMin = 100): OriginDelay[] {
  const sums = new Map<string, { flights: number; delay: number }>();
  for (const { origin, delay } of flights) {
    const sum = sums.get(origin) ?? { flights: 0, delay: 0 };
    sum.flights += 1;
    sum.delay += delay;
    sums.set(origin, sum);
  }
  return [...sums]
    .filter(([, sum]) => sum.flights >= flightsMin)
    .map(([origin, sum]) => ({ origin, flights: sum.flights, meanDelay: sum.delay / sum.flights }))
    .sort((a, b) => b.meanDelay - a.meanDelay || a.origin.localeCompare(b.origin))
    .slice(0, 10);
}
