/** `repository collect` as people type it. What may go: `publishing/collect-rule.test.ts`. */
import { metadataKey, TIMESTAMP_KEY } from '@tidegate/signer/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../../test/support/postgres.ts';
import type { Db } from '../../db/index.ts';
import { makeTimestamp } from '../../publishing/online.ts';
import { Typing } from './typing.fixture.ts';

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

test('says that there is nothing to collect, and what stays', async () => {
  const { exit, out } = await typing.say('erin', 'repository', 'collect');
  expect([exit, out.length]).toEqual([0, 1]);
  expect(out[0]).toContain('180 days');
});

test('without --yes it changes nothing; with it, it removes, once, and the audit log tells', async () => {
  // A timestamp of a year ago led to a role that is not current any more.
  const at = new Date('2025-11-22T12:00:00Z');
  const old = {
    organisation: 'acme',
    at,
    snapshot_version: 1,
    targets_version: 1,
    roles: '{"acme.dc150":7}',
  };
  await db
    .insertInto('timestamps')
    .values([
      { ...old, version: 1 },
      { ...old, version: 2, roles: '{}', snapshot_version: 2 },
    ])
    .execute();
  const documents = ['metadata/1.snapshot.json', 'metadata/7.acme.dc150.json'];
  const before = await typing.state();
  const dry = await typing.run('erin', 'repository', 'collect');
  expect(dry.json).toMatchObject({ removed: false, keepDays: 180, documents, releases: [] });
  expect((await typing.say('erin', 'repository', 'collect')).out.join('\n')).toContain('--yes');
  expect(await typing.state()).toEqual(before);
  const done = await typing.run('erin', 'repository', 'collect', '--yes', '--reason', 'spring');
  expect(done.json).toMatchObject({ removed: true, documents });
  expect((await typing.run('erin', 'repository', 'collect', '--yes')).json).toMatchObject({ documents: [] });
  const audit = await db.selectFrom('audit').selectAll().where('action', '=', 'repository.collect').execute();
  expect(audit).toMatchObject([{ actor: 'erin', reason: 'spring', detail: { documents: 2 } }]);
});

test('only those who publish may', async () => {
  for (const args of [[], ['--yes']]) {
    const refused = await typing.run('vera', 'repository', 'collect', ...args);
    expect([refused.exit, refused.json.error?.code]).toEqual([1, 'PERMISSION_DENIED']);
  }
});

/** What another service with the same keys would have done: a timestamp above this one's, over the same snapshot. */
async function overtake(): Promise<number> {
  const { publishing } = typing.service.deps;
  const row = await db.selectFrom('repository').selectAll().executeTakeFirstOrThrow();
  const snapshot = await publishing.blobs.get(metadataKey('snapshot', row.snapshot_version));
  const bytes = Buffer.concat(await snapshot!.body.toArray());
  const version = row.timestamp_version + 500;
  const { bytes: timestamp } = await makeTimestamp(
    bytes,
    version,
    publishing.keys.timestamp,
    publishing.clock.now(),
  );
  await publishing.blobs.put(TIMESTAMP_KEY, timestamp, { replace: 'any' });
  return version;
}

test('take-over: nothing without another writer; then it is shown, done once by an admin, and audited', async () => {
  const nothing = await typing.say('erin', 'repository', 'take-over');
  expect([nothing.exit, nothing.out]).toEqual([0, [expect.stringContaining('Nothing to take over')]]);
  const over = await overtake();
  const command = ['repository', 'take-over'];
  const yes = ['--yes', '--reason', 'restored from Monday'];
  const before = await typing.state();
  expect((await typing.run('erin', ...command)).json).toMatchObject({ done: false, fenced: true, over });
  expect((await typing.say('root', ...command)).out.join('\n')).toContain(`--yes --over ${over}`);
  const refused: [string, string[], number, string][] = [
    ['root', ['--yes', '--reason', 'r'], 2, 'OPTION_MISSING'],
    ['root', ['--yes', '--over', String(over)], 2, 'OPTION_MISSING'],
    ['root', [...yes, '--over', String(over - 1)], 1, 'CONFLICT'],
    ['erin', [...yes, '--over', String(over)], 1, 'PERMISSION_DENIED'],
    ['vera', [], 1, 'PERMISSION_DENIED'],
  ];
  for (const [who, args, exit, code] of refused) {
    const ran = await typing.run(who, ...command, ...args);
    expect([args, ran.exit, ran.json.error?.code]).toEqual([args, exit, code]);
  }
  expect(await typing.state()).toEqual(before);
  const done = await typing.run('root', ...command, ...yes, '--over', String(over));
  expect(done.json).toMatchObject({ done: true, over });
  const audit = await db
    .selectFrom('audit')
    .selectAll()
    .where('action', '=', 'repository.take-over')
    .execute();
  expect(audit).toMatchObject([{ actor: 'root', reason: 'restored from Monday', detail: { over } }]);
  expect((await typing.run('root', ...command)).json).toMatchObject({ fenced: false });
});
