/** Several replicas publish at once: one after the other, also before there is a row that could be locked. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/postgres.ts';
import type { Db } from '../db/index.ts';
import { Desk } from './desk.fixture.ts';
import type { Published } from './index.ts';

let db: Db;
let desk: Desk;

beforeEach(async () => {
  ({ db } = await testDatabase());
  desk = await Desk.open(db);
});
afterEach(() => desk.close());

test('the first start of two replicas at the same moment publishes once', async () => {
  const published: Published[] = [];
  const send = desk.send.bind(desk);
  desk.send = async (publication) => {
    published.push(...(await Promise.all([send(publication), send(publication)])));
    return published[0]!;
  };
  await desk.bootstrap();
  expect(published.filter(({ changed }) => changed)).toHaveLength(1);
  expect(published[0]?.versions).toEqual(published[1]?.versions);
  const audited = await db.selectFrom('audit').select('action').execute();
  expect(audited).toEqual([{ action: 'repository.bootstrap' }]);
});
