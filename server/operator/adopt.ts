import type { Transaction } from 'kysely';
import { Refusal } from '@tidegate/client-sdk/protocol';
import type { Database, Row } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { audited } from './change.ts';
import { findRelease } from './routes/releases.ts';
import type { Call } from './route.ts';

export interface Adoption {
  adopted: number;
  product: string;
  version: string;
  sha256: string;
  /** At most `SHOWN`, by serial number. */
  leftAlone: { serial: string; because: LeftAlone }[];
}

/** Why a charger was not adopted, though it was named or reports the version. */
export type LeftAlone = 'RETIRED' | 'OTHER_VERSION' | 'DIGEST_KNOWN' | 'OTHER_HARDWARE';

const SHOWN = 100;

type Charger = Pick<
  Row<'chargers'>,
  'serial' | 'product' | 'hardware' | 'state' | 'running_version' | 'running_sha256'
>;

/**
 * An existing fleet is adopted, not installed again (design §2): chargers that report the release's version, but no digest, from now
 * on count as running its image, so that it can be their fallback and baseline. A charger that is named and has never reported is taken
 * at the operator's word. One that reports a digest or another version is left alone, and so is hardware that the release does not fit:
 * it cannot be running that image.
 *
 * @throws ApiError `PRODUCT_UNKNOWN`, `RELEASE_UNKNOWN`, `NOT_FOUND`; Refusal `PRODUCT_MISMATCH`, `HARDWARE_MISMATCH` for chargers by name
 */
export async function adopt(
  call: Call<unknown, unknown, unknown>,
  wanted: { product: string; version: string; serials?: string[] | undefined },
): Promise<Adoption> {
  const { organisation } = call.operator;
  const { serials } = wanted;
  const release = await findRelease(call.deps.db, { organisation, ...wanted });
  const { product, version, sha256 } = release;
  return audited(call, async (trx) => {
    const named = serials === undefined ? undefined : await lockNamed(trx, organisation, serials);
    if (named !== undefined) requireFit(named, serials ?? [], release);
    const taken = await take(trx, release, named);
    const leftAlone =
      named === undefined
        ? await unfit(trx, release)
        : named.flatMap((charger) => objection(charger, release)).slice(0, SHOWN);
    const value = { adopted: taken.length, product, version, sha256 };
    const audit = {
      action: 'fleet.adopt',
      subject: `${product} ${version}`,
      detail: { ...value, serials: taken.slice(0, SHOWN) },
    };
    return { value: { ...value, leftAlone }, audit: taken.length === 0 ? null : audit };
  });
}

/** @param named all that may be taken; undefined for whoever reports the version. */
async function take(
  trx: Transaction<Database>,
  release: Row<'releases'>,
  named: Charger[] | undefined,
): Promise<string[]> {
  const { sha256, version, security_version } = release;
  let chargers = trx
    .updateTable('chargers')
    .set({ running_sha256: sha256, running_version: version, running_security_version: security_version })
    .where('organisation', '=', release.organisation)
    .where('hardware', 'in', release.custom.hardware);
  if (named === undefined) {
    chargers = chargers
      .where('product', '=', release.product)
      .where('state', 'in', ['EXPECTED', 'ACTIVE'])
      .where('running_version', '=', version)
      .where('running_sha256', 'is', null);
  } else {
    const free = named.filter((charger) => objection(charger, release).length === 0);
    if (free.length === 0) return [];
    const serials = free.map(({ serial }) => serial);
    chargers = chargers.where('serial', 'in', serials);
  }
  return (await chargers.returning('serial').execute()).map(({ serial }) => serial);
}

/** Those that report the version without a digest, on hardware that it does not fit. */
async function unfit(trx: Transaction<Database>, release: Row<'releases'>): Promise<Adoption['leftAlone']> {
  const rows = await trx
    .selectFrom('chargers')
    .select('serial')
    .where('organisation', '=', release.organisation)
    .where('product', '=', release.product)
    .where('state', 'in', ['EXPECTED', 'ACTIVE'])
    .where('running_version', '=', release.version)
    .where('running_sha256', 'is', null)
    .where('hardware', 'not in', release.custom.hardware)
    .orderBy('serial')
    .limit(SHOWN)
    .execute();
  return rows.map(({ serial }) => ({ serial, because: 'OTHER_HARDWARE' }));
}

function lockNamed(trx: Transaction<Database>, organisation: string, serials: string[]): Promise<Charger[]> {
  return trx
    .selectFrom('chargers')
    .select(['serial', 'product', 'hardware', 'state', 'running_version', 'running_sha256'])
    .where('organisation', '=', organisation)
    .where('serial', 'in', serials)
    .orderBy('serial')
    .forUpdate()
    .execute();
}

/** A name that is wrong is a mistake of whoever typed it: then nothing is adopted. */
function requireFit(chargers: Charger[], serials: string[], release: Row<'releases'>): void {
  const known = new Set(chargers.map(({ serial }) => serial));
  const unknown = serials.find((serial) => !known.has(serial));
  if (unknown !== undefined) throw new ApiError('NOT_FOUND', `Charger ${unknown}.`, { pointer: '/serials' });
  const stranger = chargers.find(({ product }) => product !== release.product);
  if (stranger !== undefined) {
    throw new Refusal(
      'PRODUCT_MISMATCH',
      `${stranger.serial} is a ${stranger.product}, not a ${release.product}`,
    );
  }
  const { hardware } = release.custom;
  const unfit = chargers.find((charger) => !hardware.includes(charger.hardware));
  if (unfit !== undefined) {
    const fits = `${release.product} ${release.version} fits ${hardware.join(', ')}`;
    throw new Refusal('HARDWARE_MISMATCH', `${unfit.serial} is ${unfit.hardware}; ${fits}`);
  }
}

/** Why a named charger is left alone; empty when it is not. */
function objection(charger: Charger, { version }: Row<'releases'>): Adoption['leftAlone'] {
  const { serial, running_version: runs } = charger;
  if (charger.state === 'RETIRED') return [{ serial, because: 'RETIRED' }];
  if (charger.running_sha256 !== null) return [{ serial, because: 'DIGEST_KNOWN' }];
  return runs === null || runs === version ? [] : [{ serial, because: 'OTHER_VERSION' }];
}
