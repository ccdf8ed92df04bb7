/** Between the look at a charger's certificate and the transaction of its check-in, the charger may have been enrolled again or retired. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkInBatch } from './check-in/check-in.ts';
import {
  addCharger,
  checkInBody,
  type Fleet,
  HARDWARE,
  makeFleet,
  NEW,
  ORG,
  PRODUCT,
  report,
} from './testing/fleet.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await makeFleet();
});
afterAll(() => fleet.close());

const rowOf = (serial: string) =>
  fleet.db.selectFrom('chargers').selectAll().where('serial', '=', serial).executeTakeFirstOrThrow();

test('an old certificate and a retired charger are refused within a batch; the others of it are taken', async () => {
  for (const serial of ['AGAIN', 'RETIRED', 'FINE']) await addCharger(fleet, serial);
  const visits = await Promise.all(
    ['AGAIN', 'RETIRED', 'FINE'].map(async (serial) => {
      const { certificate_sha256 } = await rowOf(serial);
      const charger = { organisation: ORG, serial, product: PRODUCT, hardware: HARDWARE, site: 'berlin' };
      const running = { sha256: NEW, version: '1.1.0', securityVersion: 1 };
      const body = checkInBody({ running, reports: [report(fleet, 1)] });
      return { charger: { ...charger, certificateSha256: certificate_sha256 ?? '' }, body };
    }),
  );
  await fleet.db
    .updateTable('chargers')
    .set({ certificate_sha256: 'f'.repeat(64) })
    .where('serial', '=', 'AGAIN')
    .execute();
  await fleet.db.updateTable('chargers').set({ state: 'RETIRED' }).where('serial', '=', 'RETIRED').execute();
  const before = await Promise.all(['AGAIN', 'RETIRED'].map(rowOf));
  const { outcomes } = await checkInBatch(fleet.deps, visits);
  expect(outcomes).toMatchObject([
    { ok: false, error: { code: 'CHARGER_UNKNOWN' } },
    { ok: false, error: { code: 'CHARGER_RETIRED' } },
    { ok: true, value: { acknowledged: 1 } },
  ]);
  expect(await Promise.all(['AGAIN', 'RETIRED'].map(rowOf))).toEqual(before);
  expect(await rowOf('FINE')).toMatchObject({ running_sha256: NEW, last_report: 1 });
});
