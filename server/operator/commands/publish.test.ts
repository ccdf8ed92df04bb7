/** What `publish` says of what it sends, and of what it cannot send yet. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../../test/support/postgres.ts';
import { PRODUCT } from '../../publishing/desk.fixture.ts';
import { Typing } from './typing.fixture.ts';

let typing: Typing;

beforeAll(async () => {
  typing = await Typing.open((await testDatabase()).db);
});
afterAll(async () => {
  await typing.close();
  expect(typing.service.faults).toEqual([]);
});

test('the products of this desk are listed with their hardware before a release', async () => {
  expect((await typing.say('vera', 'product', 'list')).out[1]).toContain('dc150-r2 (no release yet)');
  expect((await typing.run('vera', 'product', 'list')).json['products']).toMatchObject([{ hardware: [] }]);
});

test('a release that lacks signatures is no success, and the missing signer is named', async () => {
  expect((await typing.run('erin', 'publish')).json).toMatchObject({ changed: false, waiting: [] });
  await typing.propose('1.0.0', '--adopt');
  for (const name of [[], [`${PRODUCT}@1.0.0`], [PRODUCT]]) {
    const early = await typing.run('erin', 'publish', ...name);
    expect([early.exit, early.json.error?.code]).toEqual([1, 'SIGNATURES_MISSING']);
    expect(early.json.error?.message).toContain('frank');
  }
  // What has its signatures goes out all the same, and what does not is named.
  expect((await typing.signer('product', 'add', 'acme.ac22', '--hardware', 'ac22-r1')).exit).toBe(0);
  const other = await typing.run('erin', 'publish');
  expect(other).toMatchObject({ exit: 0, json: { changed: true, waiting: [{ version: '1.0.0' }] } });
});

test('an adopted image is followed by `fleet adopt`, any other by a rollout', async () => {
  await typing.cosign();
  const adopted = await typing.say('erin', 'publish');
  expect(adopted.exit).toBe(0);
  expect(adopted.out.at(-1)).toContain('fleet adopt');
  await typing.propose('1.1.0');
  await typing.cosign();
  const published = await typing.say('erin', 'publish');
  expect(published.out.at(-1)).toContain('rollout create');
});

test('a proposal that another release overtook is not said to be published', async () => {
  await typing.propose('1.2.0');
  const stale = join(typing.home, '.tidegate', 'releases', `${PRODUCT}-1.2.0.json`);
  const aside = join(typing.home, 'aside.json');
  await rename(stale, aside);
  await typing.propose('1.3.0');
  await typing.cosign();
  expect((await typing.run('erin', 'publish')).json).toMatchObject({ changed: true });
  await rename(aside, stale);
  const late = await typing.run('erin', 'publish', `${PRODUCT}@1.2.0`);
  expect([late.exit, late.json.error?.code]).toEqual([1, 'PROPOSAL_STALE']);
});

test('an error says what happened and what to do, and its code once', async () => {
  const site = ['site', 'add', 'berlin', '--type', 'depot', '--region', 'de', '--time-zone', 'Europe/Berlin'];
  await typing.run('alice', ...site);
  const cases: [string, number, string[]][] = [
    ['ALREADY_EXISTS', 1, site],
    ['PERMISSION_DENIED', 1, ['operator', 'list']],
    ['FIELD_INVALID', 2, ['site', 'add', 'x', '--type', 'A B', '--region', 'd', '--time-zone', 'Mars/X']],
    ['PLAN_INVALID', 1, ['rollout', 'create', '--product', PRODUCT, '--version', '1.0.0', '--reason', 'r']],
  ];
  for (const [code, exit, args] of cases) {
    const { err, json, ...ran } = await typing.run('alice', ...args);
    expect([ran.exit, json.error?.code, err]).toEqual([exit, code, []]);
    const { title, detail } = json.error as unknown as { title: string; detail: string };
    const said = (await typing.say('alice', ...args)).err.join('\n');
    expect(said).toContain(title);
    expect(said.split(code)).toHaveLength(2);
    // What happened stands there once: in the first line, or in the list of problems below it.
    expect(said.split(detail.replace(/^[A-Z_]+: /, '').replace(/^\/\w+: /, ''))).toHaveLength(2);
  }
});
