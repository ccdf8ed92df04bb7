import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoryDoorbell, NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { testDatabase } from '../../test/support/postgres.ts';
import { inTransaction, moveAssignment } from '../db/index.ts';
import { PRODUCT } from '../publishing/desk.fixture.ts';
import { figures, type StepView } from './commands/progress.ts';
import { TestService } from './service.fixture.ts';

let service: TestService;
const reason = 'a test';
const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  await service.desk.release(await service.desk.buildRelease('1.0.0'));
  await service.addFleet(8);
});
afterAll(() => service.stop());

test('a step that waits says for what: chargers that are not heard from, then time and exposure, then approvals', async () => {
  const { deps, db } = service;
  const made = await service.post('alice', '/rollouts', {
    product: PRODUCT,
    version: '1.0.0',
    plan: PLAN,
    reason,
  });
  const id = made.body['id'] as string;
  expect(made.body['waits']).toEqual(['the plan has 0 of 1 approvals.']);
  await service.post('bob', `/rollouts/${id}/approve`, { reason });
  const look = () => {
    const { store, clock } = deps;
    const doorbell = memoryDoorbell(SILENT_LOG);
    return work(
      { organisation: 'acme', id },
      { store, clock, doorbell, lifetimes: NOTHING_EXPIRES, log: SILENT_LOG },
    );
  };
  const waits = async (what = ''): Promise<string[]> =>
    (await service.get('vera', `/rollouts/${id}${what}`)).body['waits'] as string[];
  await look();

  const [silent, heard] = await deps.store.assignments(
    { organisation: 'acme', id },
    { after: null, limit: 9 },
  );
  if (silent === undefined || heard === undefined) throw new Error('two are drawn');
  const openedAt = deps.clock.now();
  const seen = (serial: string, at: number) =>
    db
      .updateTable('chargers')
      .set({ last_seen_at: new Date(at) })
      .where('serial', '=', serial)
      .execute();
  await seen(heard.serial, openedAt + 1);
  const never = await waits();
  expect(never).toEqual([
    'canary has 0 of the 2 healthy chargers that it needs; 2 are not offered yet, 0 are under way.',
    expect.stringMatching(/^1 of its chargers .* never/),
  ]);
  expect(await waits('/why')).toEqual(never);
  await seen(silent.serial, openedAt - 60_000);
  expect((await waits())[1]).toContain(new Date(openedAt - 60_000).toISOString());

  for (const { serial } of [silent, heard]) {
    const key = { organisation: 'acme', rollout: id, serial };
    const move = { from: 'PENDING', to: 'HEALTHY', at: new Date(openedAt) } as const;
    await inTransaction(db, (trx) => moveAssignment(trx, key, move));
  }
  await look();
  expect(await waits()).toEqual([
    expect.stringMatching(/^canary soaks until 20/),
    'canary has 0.0 of 24.0 reported charger-hours.',
  ]);
});

test('who was not reached in a passed step is shown with it', () => {
  const step = { counts: { HEALTHY: 3, PENDING: 1 }, size: 4, status: 'PASSED' } as StepView;
  expect(figures(step)).toBe('3/4 healthy, 1 not reached yet');
  expect(figures({ ...step, status: 'OPEN' })).toBe('3/4 healthy');
});
