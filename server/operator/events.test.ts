/** Live progress, on a real connection. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/postgres.ts';
import { PRODUCT } from '../publishing/desk.fixture.ts';
import { TestService } from './service.fixture.ts';

let service: TestService;
const reason = 'a test';
const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  await service.desk.release(await service.desk.buildRelease('1.0.0'));
  await service.addFleet(8);
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

async function newRollout(): Promise<string> {
  const made = await service.post('alice', '/rollouts', {
    product: PRODUCT,
    version: '1.0.0',
    plan: PLAN,
    reason,
  });
  return made.body['id'] as string;
}

function follow(id: string, who: string): Promise<Response> {
  return fetch(`${service.origin}/operator/v1/rollouts/${id}/events`, {
    headers: { authorization: `Bearer ${service.credentialOf(who)}` },
  });
}

/** Reads to the end of the stream. */
async function eventsOf(answer: Response): Promise<{ event: string; data: Record<string, unknown> }[]> {
  const blocks = (await answer.text()).split('\n\n').filter((block) => block.startsWith('event: '));
  return blocks.map((block) => {
    const [event = '', data = ''] = block.split('\n');
    return { event: event.slice(7), data: JSON.parse(data.slice(6)) as Record<string, unknown> };
  });
}

test('a rollout is followed live to its end', async () => {
  const id = await newRollout();
  const seen = eventsOf(await follow(id, 'vera'));
  await service.post('bob', `/rollouts/${id}/cancel`, { reason });
  const last = (await seen).at(-1);
  expect(last).toMatchObject({ event: 'rollout', data: { status: 'CANCELLED' } });
});

test('a stream ends with its credential, and shows nothing that happened after the revocation', async () => {
  const id = await newRollout();
  await service.addPerson('acme', 'leo', ['viewer']);
  const answer = await follow(id, 'leo');
  await service.post('root', '/operators/leo/revoke', { reason });
  await service.post('bob', `/rollouts/${id}/approve`, { reason });
  const seen = await eventsOf(answer);
  expect(seen.at(-1)).toMatchObject({ event: 'refused', data: { code: 'CREDENTIAL_REVOKED', status: 401 } });
  for (const { event, data } of seen.slice(0, -1)) {
    expect([event, data['status']]).toEqual(['rollout', 'AWAITING_APPROVAL']);
  }
  expect((await follow(id, 'leo')).status).toBe(401);
  await service.post('bob', `/rollouts/${id}/cancel`, { reason });
});

test('a stream ends with the role that allowed it', async () => {
  const id = await newRollout();
  await service.addPerson('acme', 'mia', ['viewer']);
  const answer = await follow(id, 'mia');
  await service.db.updateTable('operators').set({ roles: [] }).where('name', '=', 'mia').execute();
  expect((await eventsOf(answer)).at(-1)).toMatchObject({ data: { code: 'PERMISSION_DENIED' } });
});
