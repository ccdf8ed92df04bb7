/** What people have to do before something stops by itself. Pure: facts and the time in, alarms out. */
import type { Ahead, RefreshFailure, RoleExpiry } from '../publishing/index.ts';

/**
 * - `ROLE_EXPIRING`, `ROLE_EXPIRED`: published metadata. Root, targets and products are signed by people, snapshot and timestamp by the service.
 * - `REFRESH_FAILING`: the service cannot sign or store snapshot and timestamp.
 * - `FALLBACK_EXPIRING`: a signed way back of a listed release, or of one that chargers run.
 * - `FALLBACK_EXPIRED`: a release that chargers run, or that a rollout brings, has ways back, and all of them have expired.
 * - `CERTIFICATE_EXPIRING`, `CERTIFICATE_EXPIRED`: the service's own certificate, or its CA's.
 * - `CHARGER_CERTIFICATES_EXPIRING`, `CHARGER_CERTIFICATES_EXPIRED`: client certificates of chargers, as counts.
 * - `REPOSITORY_BEHIND`: chargers trust newer metadata than there is, and nothing is served.
 * - `CHARGER_AHEAD`: so few chargers say so that they are not believed, or what they say cannot be.
 * - `REPOSITORY_UNREADABLE`: the store does not give out what the database refers to.
 */
export type AlarmCode =
  | 'ROLE_EXPIRING'
  | 'ROLE_EXPIRED'
  | 'REFRESH_FAILING'
  | 'FALLBACK_EXPIRING'
  | 'FALLBACK_EXPIRED'
  | 'CERTIFICATE_EXPIRING'
  | 'CERTIFICATE_EXPIRED'
  | 'CHARGER_CERTIFICATES_EXPIRING'
  | 'CHARGER_CERTIFICATES_EXPIRED'
  | 'REPOSITORY_BEHIND'
  | 'CHARGER_AHEAD'
  | 'REPOSITORY_UNREADABLE';

/** `urgent`: something has stopped, or does within days. */
export type Severity = 'warning' | 'urgent';

export interface Alarm {
  code: AlarmCode;
  severity: Severity;
  /** What it is about; with the code it names the alarm. */
  subject: string;
  /** When it stops; null where that is no moment in time. ms, of the fleet's clock; certificates are on the wall's. */
  expires: number | null;
  /** What is the matter, and what to do. */
  sentence: string;
}

/** A way back that a release names. */
export interface FallbackFact {
  product: string;
  version: string;
  /** The image to go back to. */
  path: string;
  /** ms, of the fleet's clock. */
  expires: number;
  /** Chargers run the release, or an unfinished rollout brings it. */
  used: boolean;
}

export interface Facts {
  roles: RoleExpiry[];
  /** Why the roles could not be read. */
  unreadable: string | null;
  refresh: RefreshFailure | null;
  ahead: Ahead[];
  fallbacks: FallbackFact[];
  /** ms, of the wall's clock. */
  certificates: { subject: 'service' | 'CA'; expires: number }[];
  chargers: ChargerCertificates;
}

/** Client certificates of active chargers, on the wall's clock. */
export interface ChargerCertificates {
  expired: number;
  /** Not expired, and ending within so many days. */
  within7Days: number;
  within30Days: number;
  /** The next to end, ms; null where there is none. */
  nearest: number | null;
}

export interface Now {
  fleet: number;
  wall: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * From how much remaining life on an alarm is raised, in days. What people sign lives for 90, snapshot for 7 and timestamp for 1; those two are
 * signed again at half their life. The service's certificate lives for 90 and is made anew 30 before its end; its CA's for ten years.
 */
export const THRESHOLDS: Record<
  'offline' | 'snapshot' | 'timestamp' | 'fallback' | 'service' | 'CA',
  Threshold
> = {
  offline: { warning: 30, urgent: 7 },
  snapshot: { warning: 7 * (3 / 8), urgent: 7 / 4 },
  timestamp: { warning: 3 / 8, urgent: 1 / 4 },
  fallback: { warning: 30, urgent: 7 },
  service: { warning: 21, urgent: 7 },
  CA: { warning: 365, urgent: 90 },
};

interface Threshold {
  warning: number;
  urgent: number;
}

/** Every alarm, the urgent first, then what ends first. */
export function alarmsOf(facts: Facts, now: Now): Alarm[] {
  const alarms = [
    ...ofStanding(facts),
    ...ofRefresh(facts),
    ...facts.roles.flatMap((role) => ofRole(role, now.fleet)),
    ...ofFallbacks(facts.fallbacks, now.fleet),
    ...facts.certificates.flatMap((certificate) => ofCertificate(certificate, now.wall)),
    ...ofChargers(facts.chargers),
  ];
  return alarms.sort(
    (a, b) =>
      Number(b.severity === 'urgent') - Number(a.severity === 'urgent') ||
      (a.expires ?? 0) - (b.expires ?? 0) ||
      `${a.code} ${a.subject}`.localeCompare(`${b.code} ${b.subject}`),
  );
}

function ofStanding({ ahead, unreadable }: Facts): Alarm[] {
  const alarms = ahead.map(({ role, published, reported, chargers, sites, credence }): Alarm => {
    const who = `${chargers} ${chargers === 1 ? 'charger' : 'chargers'} at ${sites} ${sites === 1 ? 'site' : 'sites'}`;
    const what = `${role} ${published} is published, and ${who} trust ${reported}.`;
    const online = role === 'snapshot' || role === 'timestamp';
    if (credence === 'believed') {
      const cure = online
        ? 'The service signs it again above that.'
        : 'Publish what was published since the backup: "tidegate publish", from the working copy of the release engineers.';
      const sentence = `${what} The service was restored from an older backup, and serves nothing until it is above. ${cure}`;
      return { code: 'REPOSITORY_BEHIND', severity: 'urgent', subject: role, expires: null, sentence };
    }
    const cure =
      credence === 'few'
        ? 'Too few to be believed: they alone are served nothing. If the service was restored from a backup, publish again; if not, retire them, because their identities may be stolen.'
        : 'It cannot have been published here: it is not believed. Look at these chargers, because their identities may be stolen ("tidegate audit list").';
    return {
      code: 'CHARGER_AHEAD',
      severity: 'warning',
      subject: role,
      expires: null,
      sentence: `${what} ${cure}`,
    };
  });
  if (unreadable === null) return alarms;
  const sentence = `${unreadable} Chargers cannot fetch it either.`;
  const lost: Alarm = {
    code: 'REPOSITORY_UNREADABLE',
    severity: 'urgent',
    subject: 'repository',
    expires: null,
    sentence,
  };
  return [...alarms, lost];
}

function ofRefresh({ refresh, roles }: Facts): Alarm[] {
  if (refresh === null) return [];
  const expires = roles.find(({ role }) => role === 'timestamp')?.expires ?? null;
  const { since, attempts, detail } = refresh;
  const sentence = `Snapshot and timestamp could not be signed or stored since ${iso(since)}, ${attempts} times: ${detail} Mend the signing key or the store; it is tried again by itself.`;
  return [{ code: 'REFRESH_FAILING', severity: 'urgent', subject: 'timestamp', expires, sentence }];
}

function ofRole({ role, expires }: RoleExpiry, now: number): Alarm[] {
  const online = role === 'snapshot' || role === 'timestamp';
  const cure = online
    ? 'The service signs it by itself and has not: see its log.'
    : 'Let its people sign it again, and publish it.';
  if (expires <= now) {
    const sentence = `${role} has expired at ${iso(expires)}: chargers take nothing that it lists. ${cure}`;
    return [{ code: 'ROLE_EXPIRED', severity: 'urgent', subject: role, expires, sentence }];
  }
  const severity = severityOf(expires - now, THRESHOLDS[online ? role : 'offline']);
  if (severity === null) return [];
  const sentence = `${role} expires at ${iso(expires)}. ${cure}`;
  return [{ code: 'ROLE_EXPIRING', severity, subject: role, expires, sentence }];
}

/** Of releases that nobody runs any more one alarm for each product: old ways back are to run out. */
function ofFallbacks(fallbacks: readonly FallbackFact[], now: number): Alarm[] {
  const alarms: Alarm[] = [];
  for (const [release, all] of Map.groupBy(
    fallbacks.filter(({ used }) => used),
    ({ product, version }) => `${product} ${version}`,
  )) {
    const last = Math.max(...all.map(({ expires }) => expires));
    if (last <= now) {
      const sentence = `Every way back of ${release} has expired, the last at ${iso(last)}: its chargers cannot be rolled back. Sign the release with a later fallback, and publish it.`;
      alarms.push({
        code: 'FALLBACK_EXPIRED',
        severity: 'urgent',
        subject: release,
        expires: last,
        sentence,
      });
    }
    for (const { path, expires } of all) {
      const severity = expires <= now ? null : severityOf(expires - now, THRESHOLDS.fallback);
      if (severity === null) continue;
      const sentence = `The way back of ${release} to ${path} expires at ${iso(expires)}. Sign the release with a later one, and publish it.`;
      alarms.push({
        code: 'FALLBACK_EXPIRING',
        severity,
        subject: `${release} → ${path}`,
        expires,
        sentence,
      });
    }
  }
  const idle = fallbacks.filter(
    ({ used, expires }) => !used && expires > now && severityOf(expires - now, THRESHOLDS.fallback) !== null,
  );
  for (const [product, all] of Map.groupBy(idle, (fallback) => fallback.product)) {
    const expires = Math.min(...all.map((fallback) => fallback.expires));
    const sentence = `${all.length} ways back of listed releases that no charger runs expire soon, the first at ${iso(expires)}. Renew those of releases that are still to be rolled out.`;
    alarms.push({ code: 'FALLBACK_EXPIRING', severity: 'warning', subject: product, expires, sentence });
  }
  return alarms;
}

function ofCertificate({ subject, expires }: Facts['certificates'][number], wall: number): Alarm[] {
  const cure =
    subject === 'service'
      ? 'The service makes it anew by itself and has not: see its log.'
      : 'Every charger has to be provisioned with another CA before.';
  if (expires <= wall) {
    const sentence = `The certificate of the ${subject} has expired at ${iso(expires)}: chargers cannot connect. ${cure}`;
    return [{ code: 'CERTIFICATE_EXPIRED', severity: 'urgent', subject, expires, sentence }];
  }
  const severity = severityOf(expires - wall, THRESHOLDS[subject]);
  if (severity === null) return [];
  const sentence = `The certificate of the ${subject} expires at ${iso(expires)}. ${cure}`;
  return [{ code: 'CERTIFICATE_EXPIRING', severity, subject, expires, sentence }];
}

function ofChargers({ expired, within7Days, within30Days, nearest }: ChargerCertificates): Alarm[] {
  const alarms: Alarm[] = [];
  const subject = 'chargers';
  if (expired > 0) {
    const sentence = `${expired} active chargers have an expired client certificate and cannot connect. Enrol them again with a new token, or retire them.`;
    alarms.push({
      code: 'CHARGER_CERTIFICATES_EXPIRED',
      severity: 'urgent',
      subject,
      expires: null,
      sentence,
    });
  }
  if (within7Days + within30Days > 0) {
    const severity: Severity = within7Days > 0 ? 'urgent' : 'warning';
    const sentence = `Client certificates of ${within7Days} chargers end within 7 days, of ${within30Days} more within 30. Renew them: enrol these chargers again.`;
    alarms.push({ code: 'CHARGER_CERTIFICATES_EXPIRING', severity, subject, expires: nearest, sentence });
  }
  return alarms;
}

function severityOf(remaining: number, { warning, urgent }: Threshold): Severity | null {
  if (remaining < urgent * DAY_MS) return 'urgent';
  return remaining < warning * DAY_MS ? 'warning' : null;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
