/** `publish` names every charger that it would leave behind, however many the service's answer holds. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKeyFile } from '@tidegate/signer/keys';
import { addSignature, bump, productRole, readWorkingCopy, writeDocument } from '@tidegate/signer/repository';
import { testDatabase } from '../../../test/support/postgres.ts';
import type { Db } from '../../db/index.ts';
import { PRODUCT } from '../../publishing/desk.fixture.ts';
import { keyFile, Typing } from './typing.fixture.ts';

const CHARGERS = 33;
let typing: Typing;
let db: Db;

beforeAll(async () => {
  ({ db } = await testDatabase());
  typing = await Typing.open(db);
});
afterAll(async () => {
  await typing.close();
  expect(typing.service.faults).toEqual([]);
});

/** The product's next role, without a release, signed by both. */
async function emptyRole(): Promise<void> {
  const folder = join(typing.home, '.tidegate', 'repository');
  const copy = await readWorkingCopy(folder);
  const role = copy.products.get(PRODUCT)?.metadata;
  if (role === undefined) throw new Error(PRODUCT);
  let next = bump(
    { ...role, signed: { ...role.signed, targets: {} } },
    'product',
    Date.parse('2026-11-22T12:00:00Z'),
  );
  for (const who of ['erin', 'frank']) {
    const passphrase = await readFile(join(typing.home, '.tidegate', 'keys', who, 'passphrase'), 'utf8');
    const key = await openKeyFile(join(typing.home, keyFile(who)), passphrase.trim());
    next = await addSignature(next, productRole(copy.targets.metadata, PRODUCT), key);
  }
  await writeDocument(folder, PRODUCT, next);
}

async function addChargers(): Promise<string[]> {
  const { sha256, version } = await db
    .selectFrom('releases')
    .select(['sha256', 'version'])
    .executeTakeFirstOrThrow();
  const at = new Date('2026-11-22T12:00:00Z');
  const site = {
    organisation: 'acme',
    id: 'strand',
    name: 's',
    type: 'depot',
    region: 'de',
    time_zone: 'UTC',
  };
  await db
    .insertInto('sites')
    .values({ ...site, created_at: at })
    .execute();
  const serials = Array.from({ length: CHARGERS }, (_, i) => `STRAND-${String(i).padStart(3, '0')}`);
  const rows = serials.map((serial, i) => ({
    organisation: 'acme',
    serial,
    product: PRODUCT,
    hardware: 'dc150-r2',
    site: 'strand',
    state: 'ACTIVE' as const,
    stratum: 'x',
    cohort_key: i,
    running_sha256: sha256,
    running_version: version,
    running_security_version: 1,
  }));
  await db.insertInto('chargers').values(rows).execute();
  return serials;
}

test('with --json all of them; to a person the first few, the number, and how to see the rest', async () => {
  await typing.propose('1.0.0', '--adopt');
  await typing.cosign();
  expect(await typing.run('erin', 'publish')).toMatchObject({ exit: 0, json: { changed: true } });
  const serials = await addChargers();
  await emptyRole();
  const path = `${PRODUCT}/dc150-1.0.0.img`;
  const refused = await typing.run('erin', 'publish');
  expect(refused.exit).toBe(1);
  expect(refused.json.error).toMatchObject({
    code: 'WOULD_STRAND',
    stranded: {
      total: CHARGERS,
      chargers: [{ loss: 'NO_WAY_ON', runs: { path }, total: CHARGERS, serials }],
    },
  });
  const said = (await typing.say('erin', 'publish')).err.join('\n');
  expect(said).toContain(`${CHARGERS} × dc150-r2`);
  expect(said).toContain('STRAND-019');
  expect(said).not.toContain('STRAND-020');
  expect(said).toContain('13 more (all of them with --json)');
  expect((await typing.run('erin', 'publish', '--strand', path)).json).toMatchObject({ changed: true });
});

async function publish(version: string): Promise<void> {
  await typing.propose(version, '--adopt');
  await typing.cosign();
  expect(await typing.run('erin', 'publish')).toMatchObject({ exit: 0, json: { changed: true } });
}

test('a change that is refused, and all have signed, can be dropped, and does not keep the next one from being published', async () => {
  await publish('2.0.0');
  const reference = `${PRODUCT}@2.0.0`;
  await db
    .updateTable('chargers')
    .set({
      running_version: '2.0.0',
      running_sha256: db.selectFrom('releases').select('sha256').where('version', '=', '2.0.0'),
    })
    .execute();
  const yank = ['release', 'yank', reference, '--reason', 'a mistake', '--key', keyFile('erin')];
  expect((await typing.signer(...yank)).exit).toBe(0);
  expect((await typing.signer('release', 'cosign', '--key', keyFile('frank'))).exit).toBe(0);
  expect((await typing.run('erin', 'publish')).json.error?.code).toBe('WOULD_STRAND');
  // The service is asked first: what is published is not taken back by forgetting it.
  expect((await typing.signer('release', 'drop', reference)).err.join()).toContain('PROPOSAL_SIGNED');
  const dropped = await typing.say('erin', 'release', 'drop', reference);
  expect([dropped.exit, dropped.err]).toEqual([0, []]);
  expect(dropped.out.join('\n')).toContain('on every machine that has taken it in');
  await publish('2.1.0');
  const late = await typing.run('erin', 'release', 'drop', `${PRODUCT}@2.1.0`);
  expect([late.exit, late.json.error?.code]).toEqual([1, 'PROPOSAL_PUBLISHED']);
});
