/** Certificates, on the wall's clock: TLS reads no other. */
import { X509Certificate } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import type { ChargerCertificates, Facts } from './alarms.ts';

/** @param pem of the service's certificate and of its CA. */
export function certificateFacts(pem: { service: string; ca: string }): Facts['certificates'] {
  return [
    { subject: 'service', expires: endOf(pem.service) },
    { subject: 'CA', expires: endOf(pem.ca) },
  ];
}

function endOf(pem: string): number {
  return Date.parse(new X509Certificate(pem).validTo);
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Counts, read along the index: what ends later costs nothing. */
export async function loadChargerCertificates(
  db: Db,
  organisation: string,
  wall: number,
): Promise<ChargerCertificates> {
  const at = (days: number) => new Date(wall + days * DAY_MS);
  const { rows } = await sql<{ expired: number; within7: number; within30: number; nearest: Date | null }>`
    select
      count(*) filter (where certificate_expires_at <= ${at(0)}) as expired,
      count(*) filter (where certificate_expires_at > ${at(0)} and certificate_expires_at <= ${at(7)}) as within7,
      count(*) filter (where certificate_expires_at > ${at(7)}) as within30,
      (select min(certificate_expires_at) from chargers
        where organisation = ${organisation} and state = 'ACTIVE' and certificate_expires_at > ${at(0)}) as nearest
    from chargers
    where organisation = ${organisation} and state = 'ACTIVE' and certificate_expires_at <= ${at(30)}`.execute(
    db,
  );
  const [row] = rows;
  return {
    expired: row?.expired ?? 0,
    within7Days: row?.within7 ?? 0,
    within30Days: row?.within30 ?? 0,
    nearest: row?.nearest?.getTime() ?? null,
  };
}

/** Of a product's active chargers with a certificate, the share whose ends before `until`, and the first end. */
export async function endingBefore(
  db: Db,
  { organisation, product }: { organisation: string; product: string },
  until: number,
): Promise<{ share: number; first: number } | undefined> {
  const { rows } = await sql<{ ending: number; all: number; first: Date | null }>`
    select count(*) filter (where certificate_expires_at < ${new Date(until)}) as ending, count(*) as all,
      min(certificate_expires_at) as first
    from chargers
    where organisation = ${organisation} and product = ${product} and state = 'ACTIVE'
      and certificate_expires_at is not null`.execute(db);
  const [row] = rows;
  if (row === undefined || row.first === null || row.ending === 0) return undefined;
  return { share: row.ending / row.all, first: row.first.getTime() };
}
