/** What a charger runs, where it has no digest on record itself: its operator may have adopted the image. */
import type { Transaction } from 'kysely';
import type { CheckIn, HealthReport, RunningImage } from '@tidegate/client-sdk/protocol';
import type { Database } from '../../db/index.ts';
import type { Visitor } from './batch.ts';

/**
 * What the charger reports. A factory image reports no digest for ever: the digest that it was adopted with stays, for as long as
 * the version is the same, and is found again when the charger falls back to that image from a trial.
 */
export async function runningOf(
  trx: Transaction<Database>,
  organisation: string,
  visitor: Pick<Visitor, 'serial' | 'running'>,
  reported: RunningImage,
): Promise<Visitor['running']> {
  if (reported.sha256 !== null) return reported;
  const { version, sha256 } = visitor.running;
  if (version === reported.version) return { ...reported, sha256 };
  if (sha256 === null) return reported;
  return { ...reported, sha256: await adoptedBefore(trx, organisation, visitor.serial, reported.version) };
}

/** The digest that the charger ran with this version before some rollout; null where there is none. */
async function adoptedBefore(
  trx: Transaction<Database>,
  organisation: string,
  serial: string,
  version: string,
): Promise<string | null> {
  const before = await trx
    .selectFrom('assignments')
    .innerJoin('chargers', (join) =>
      join
        .onRef('chargers.organisation', '=', 'assignments.organisation')
        .onRef('chargers.serial', '=', 'assignments.serial'),
    )
    .innerJoin('releases', (join) =>
      join
        .onRef('releases.organisation', '=', 'chargers.organisation')
        .onRef('releases.product', '=', 'chargers.product')
        .onRef('releases.sha256', '=', 'assignments.from_sha256'),
    )
    .select('releases.sha256')
    .where('assignments.organisation', '=', organisation)
    .where('assignments.serial', '=', serial)
    .where('releases.version', '=', version)
    .executeTakeFirst();
  return before?.sha256 ?? null;
}

/**
 * A bin without a digest ran the image that the charger runs still, as long as that one reports none either: on an adopted image
 * that is the release itself it counts as the release, on any other as what ran before.
 *
 * @param sha256 what it runs now, as `runningOf` has it.
 */
export function namedReports(
  { running, reports }: Pick<CheckIn, 'running' | 'reports'>,
  sha256: string | null,
): HealthReport[] {
  if (running.sha256 !== null) return reports;
  return reports.map((report) => (report.sha256 === null ? { ...report, sha256 } : report));
}
