/** What has how long to live, as figures. The number of series does not follow the number of chargers. */
import { Gauge, type Registry } from 'prom-client';
import { type Alarm, alarmsOf, type Facts, type Now } from '../alarms/index.ts';

export interface LifetimeSources {
  /** Alarms and figures of one scrape are made of the same facts. */
  facts: () => Promise<Facts>;
  now: () => Now;
  /** Failed attempts to sign or store the online roles since the start. */
  refreshFailures: () => number;
}

/** Series of ways back: those that end first. */
const MOST_FALLBACKS = 500;
/** One scrape asks once. */
const FRESH_MS = 1_000;

export function watchLifetimes(registry: Registry, sources: LifetimeSources): void {
  const { now, refreshFailures } = sources;
  const facts = remembered(sources.facts);
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    values: (facts: Facts) => [Record<L, string>, number][],
  ): void => {
    const made: Gauge<L> = new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        const found = values(await facts());
        made.reset();
        for (const [labels, value] of found) made.set(labels, value);
      },
    });
  };
  gauge(
    'tidegate_role_remaining_seconds',
    'Seconds of the fleet until the published metadata of a role expires; negative once it has. Only people can sign root, targets and products again',
    ['role'],
    ({ roles }) => roles.map(({ role, expires }) => [{ role }, (expires - now().fleet) / 1000]),
  );
  gauge(
    'tidegate_fallback_remaining_seconds',
    'Seconds of the fleet until a signed way back of a listed or running release expires, of those that have not; at most 500, which end first',
    ['product', 'version', 'fallback', 'used'],
    ({ fallbacks }) =>
      fallbacks
        .filter(({ expires }) => expires > now().fleet)
        .sort((a, b) => a.expires - b.expires)
        .slice(0, MOST_FALLBACKS)
        .map(({ product, version, path, expires, used }) => [
          { product, version, fallback: path, used: String(used) },
          (expires - now().fleet) / 1000,
        ]),
  );
  gauge(
    'tidegate_certificate_remaining_seconds',
    "Seconds of the wall's clock until the certificate of the service, or of its CA, expires",
    ['subject'],
    ({ certificates }) =>
      certificates.map(({ subject, expires }) => [{ subject }, (expires - now().wall) / 1000]),
  );
  gauge(
    'tidegate_charger_certificates',
    'Active chargers whose client certificate has expired, or ends within 7 or 30 days',
    ['ends'],
    ({ chargers }) => [
      [{ ends: 'expired' }, chargers.expired],
      [{ ends: '7d' }, chargers.within7Days],
      [{ ends: '30d' }, chargers.within30Days],
    ],
  );
  gauge(
    'tidegate_charger_certificate_nearest_seconds',
    "Seconds of the wall's clock until the next client certificate of a charger expires",
    [],
    ({ chargers }) => (chargers.nearest === null ? [] : [[{}, (chargers.nearest - now().wall) / 1000]]),
  );
  gauge(
    'tidegate_chargers_ahead',
    'Chargers that say that they trust newer metadata than is published',
    ['role', 'credence'],
    ({ ahead }) => ahead.map(({ role, credence, chargers }) => [{ role, credence }, chargers]),
  );
  gauge('tidegate_alarms', 'Alarms that are raised', ['code', 'severity'], (found) =>
    counted(alarmsOf(found, now())),
  );
  gauge(
    'tidegate_refresh_failures',
    'Attempts to sign or store snapshot and timestamp that failed since the start',
    [],
    () => [[{}, refreshFailures()]],
  );
}

function counted(alarms: readonly Alarm[]): [{ code: string; severity: string }, number][] {
  const groups = Map.groupBy(alarms, ({ code, severity }) => `${code} ${severity}`);
  return [...groups.values()].flatMap((all) => {
    const [first] = all;
    return first === undefined ? [] : [[{ code: first.code, severity: first.severity }, all.length]];
  });
}

function remembered<T>(load: () => Promise<T>): () => Promise<T> {
  let last: { at: number; value: Promise<T> } | undefined;
  return () => {
    const at = performance.now();
    if (last === undefined || at - last.at > FRESH_MS) last = { at, value: load() };
    return last.value;
  };
}
