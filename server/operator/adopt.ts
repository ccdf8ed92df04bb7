import { audited } from './change.ts';
import { findRelease } from './routes/releases.ts';
import type { Call } from './route.ts';

export interface Adoption {
  adopted: number;
  product: string;
  version: string;
  sha256: string;
}

/**
 * An existing fleet is adopted, not installed again (design §2): chargers that report the release's version, but no digest, from now
 * on count as running its image, so that it can be their fallback and baseline. A charger that is named and has never reported is taken
 * at the operator's word. One that reports a digest or another version is left alone.
 */
export async function adopt(
  call: Call<unknown, unknown, unknown>,
  wanted: { product: string; version: string; serials?: string[] | undefined },
): Promise<Adoption> {
  const { organisation } = call.operator;
  const { product, version, sha256, security_version } = await findRelease(call.deps.db, {
    organisation,
    product: wanted.product,
    version: wanted.version,
  });
  return audited(call, async (trx) => {
    let chargers = trx
      .updateTable('chargers')
      .set({ running_sha256: sha256, running_version: version, running_security_version: security_version })
      .where('organisation', '=', organisation)
      .where('product', '=', product)
      .where('state', 'in', ['EXPECTED', 'ACTIVE'])
      .where('running_sha256', 'is', null);
    const { serials } = wanted;
    chargers =
      serials === undefined
        ? chargers.where('running_version', '=', version)
        : chargers
            .where('serial', 'in', serials)
            .where((eb) => eb.or([eb('running_version', '=', version), eb('running_version', 'is', null)]));
    const rows = await chargers.returning('serial').execute();
    const value = { adopted: rows.length, product, version, sha256 };
    const detail = { ...value, serials: rows.slice(0, 100).map((row) => row.serial) };
    const audit = { action: 'fleet.adopt', subject: `${product} ${version}`, detail };
    return { value, audit: rows.length === 0 ? null : audit };
  });
}
