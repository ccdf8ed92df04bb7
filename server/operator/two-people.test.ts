/** Where two are needed, one person with two credentials is one. Design §8.11 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { testDatabase } from '../../test/support/postgres.ts';
import { PRODUCT } from '../publishing/desk.fixture.ts';
import { TestService } from './service.fixture.ts';

/** As `tidegate init` leaves it: dora is admin and operator, emil is operator, and nobody else is there. */
let service: TestService;
const reason = 'a test';
const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  await service.desk.release(await service.desk.buildRelease('1.0.0'));
  await service.addFleet(8);
  await service.addPerson('acme', 'dora', ['admin', 'operator']);
  await service.addPerson('acme', 'emil', ['operator']);
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

async function add(who: string, name: string, roles: string[]): Promise<void> {
  const made = await service.post(who, '/operators', { name, roles, reason });
  expect(made.status).toBe(201);
  service.keep(name, made.body['credential'] as string);
}

/** Of one product one rollout is live at a time. */
async function makeRoom(): Promise<void> {
  const { body } = await service.get('root', '/rollouts');
  for (const { id, status } of body.items ?? []) {
    if (status !== 'CANCELLED') await service.post('root', `/rollouts/${String(id)}/cancel`, { reason });
  }
}

async function rolloutBy(who: string, approvals = 1): Promise<(by: string) => Promise<string>> {
  await makeRoom();
  const body = { product: PRODUCT, version: '1.0.0', plan: { ...PLAN, approvals }, reason };
  const made = await service.post(who, '/rollouts', body);
  expect(made.status).toBe(201);
  const id = made.body['id'] as string;
  return async (by) => {
    const { body: answer } = await service.post(by, `/rollouts/${id}/approve`, { reason });
    return answer.code ?? String(answer['status']);
  };
}

test('what init leaves is enough: one plans, the other approves', async () => {
  const byDora = await rolloutBy('dora');
  expect(await byDora('dora')).toBe('AUTHOR_CANNOT_APPROVE');
  expect(await byDora('emil')).toBe('SCHEDULED');
  expect(await (await rolloutBy('emil'))('dora')).toBe('SCHEDULED');
});

test('an admin does not approve through somebody whom she added, in either direction, nor through two of them', async () => {
  await add('dora', 'puppet', ['admin', 'operator']);
  await add('puppet', 'second', ['operator']);
  const pairs = [
    ['dora', 'puppet'],
    ['dora', 'second'],
    ['puppet', 'dora'],
    ['puppet', 'second'],
    ['second', 'dora'],
    ['second', 'puppet'],
  ] as const;
  for (const [author, approver] of pairs) {
    const approve = await rolloutBy(author);
    expect([author, approver, await approve(approver)]).toEqual([author, approver, 'NOT_INDEPENDENT']);
    // Nothing was spoilt: somebody independent approves it.
    expect(await approve('emil')).toBe('SCHEDULED');
  }
  // Nor do two of hers make two approvals of somebody else's.
  const twice = await rolloutBy('emil', 2);
  expect(await twice('dora')).toBe('AWAITING_APPROVAL');
  expect(await twice('puppet')).toBe('NOT_INDEPENDENT');
  expect(await twice('second')).toBe('NOT_INDEPENDENT');
});

test('somebody independent confirms a new colleague, who then counts; nobody else can', async () => {
  await add('dora', 'fay', ['operator']);
  const confirm = async (who: string) =>
    (await service.post(who, '/operators/fay/confirm', { reason })).body.code ?? 'ok';
  expect(await confirm('fay')).toBe('NOT_INDEPENDENT');
  expect(await confirm('dora')).toBe('NOT_INDEPENDENT');
  expect(await confirm('puppet')).toBe('NOT_INDEPENDENT');
  expect(await confirm('vera')).toBe('PERMISSION_DENIED');
  const approve = await rolloutBy('dora');
  expect(await approve('fay')).toBe('NOT_INDEPENDENT');
  expect(await confirm('emil')).toBe('ok');
  expect(await approve('fay')).toBe('SCHEDULED');
  const { body } = await service.get('dora', '/operators');
  expect(body.items).toContainEqual(
    expect.objectContaining({ name: 'fay', addedBy: 'dora', confirmedBy: 'emil', countsAs: 'fay' }),
  );
  expect(body.items).toContainEqual(
    expect.objectContaining({ name: 'second', addedBy: 'puppet', confirmedBy: null, countsAs: 'dora' }),
  );
});

test('who sends a halted rollout forward does not approve it through another name', async () => {
  await makeRoom();
  const body = { product: PRODUCT, version: '1.0.0', plan: PLAN, reason };
  const id = (await service.post('bob', '/rollouts', body)).body['id'] as string;
  const ask = async (who: string, action: string) =>
    (await service.post(who, `/rollouts/${id}/${action}`, { reason })).body;
  await ask('emil', 'approve');
  const { store, doorbell, clock } = service.deps;
  await work(
    { organisation: 'acme', id },
    { store, doorbell, clock, lifetimes: NOTHING_EXPIRES, log: SILENT_LOG },
  );
  expect(await ask('emil', 'halt')).toMatchObject({ status: 'HALTED' });
  expect(await ask('puppet', 'submit')).toMatchObject({ status: 'AWAITING_APPROVAL' });
  expect((await ask('puppet', 'approve')).code).toBe('AUTHOR_CANNOT_APPROVE');
  expect((await ask('dora', 'approve')).code).toBe('NOT_INDEPENDENT');
  expect(await ask('emil', 'approve')).toMatchObject({ status: 'SCHEDULED' });
});

test('the last admin stays', async () => {
  for (const name of ['dora', 'puppet']) {
    expect((await service.post('root', `/operators/${name}/revoke`, { reason })).status).toBe(200);
  }
  const own = await service.post('root', '/operators/root/revoke', { reason });
  expect([own.status, own.body.code]).toEqual([409, 'LAST_ADMIN']);
  expect((await service.get('root', '/operators')).status).toBe(200);
});
