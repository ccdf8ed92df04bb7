/** A refusal that names chargers, completed: the service tells the first few of each kind, a person who decides wants them all. */
import type { StrandedChargers } from '../../publishing/index.ts';
import type { ServiceClient } from './client.ts';
import { CommandError } from './context.ts';
import { allPages } from './pages.ts';

interface Charger {
  serial: string;
  running: { version: string; sha256: string | null } | null;
}

/** Runs a publication; a `WOULD_STRAND` of the service comes back with every serial number. */
export async function namingAll<T>(service: ServiceClient, publication: () => Promise<T>): Promise<T> {
  try {
    return await publication();
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== 'WOULD_STRAND') throw error;
    const { stranded } = error.problem as { stranded?: { chargers: StrandedChargers[] } };
    if (stranded === undefined) throw error;
    const chargers = [];
    for (const kind of stranded.chargers) {
      chargers.push({ ...kind, serials: await serialsOf(service, kind) });
    }
    const { exit, code, message, problem } = error;
    const complete = { ...problem, stranded: { ...stranded, chargers } };
    throw new CommandError(exit, code, message, { cause: error, problem: complete });
  }
}

async function serialsOf(service: ServiceClient, kind: StrandedChargers): Promise<string[]> {
  if (kind.total <= kind.serials.length) return kind.serials;
  const { product, hardware, runs } = kind;
  const query = { product, hardware, running: runs.sha256 ?? 'none', state: 'ACTIVE' };
  const found = await allPages<Charger>(service, '/fleet', query);
  return found
    .filter(({ running }) => (running?.version ?? null) === runs.version)
    .map(({ serial }) => serial);
}
