import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { provisionSlots } from '@tidegate/client-sdk/install';
import { expect, test } from 'vitest';
import { healthyOn, type OwnView, type ServiceView, slotViews } from './health.ts';

const GOOD = 'a'.repeat(64);
const BAD = 'b'.repeat(64);

const service: ServiceView = {
  serial: 'DC-1',
  running: { sha256: GOOD },
  assignments: [
    { rollout: 'b', state: 'ROLLED_BACK' },
    { rollout: 'a', state: 'HEALTHY' },
  ],
};
const own: OwnView = { serial: 'DC-1', running: GOOD, committed: GOOD, settled: true };

test('a charger that went back from B is healthy on A, by both views', () => {
  expect(healthyOn(GOOD, 'a', [service], [own])).toEqual(['DC-1']);
});

test.each<[string, Partial<ServiceView>]>([
  ['runs something else', { running: { sha256: BAD } }],
  ['runs nothing known', { running: null }],
  ['was never brought to A', { assignments: [] }],
  ['is still verifying A', { assignments: [{ rollout: 'a', state: 'VERIFYING' }] }],
  [
    'is not back from B',
    {
      assignments: [
        { rollout: 'a', state: 'HEALTHY' },
        { rollout: 'b', state: 'ROLLING_BACK' },
      ],
    },
  ],
])('the service says that it %s', (_, view) => {
  expect(healthyOn(GOOD, 'a', [{ ...service, ...view }], [own])).toEqual([]);
});

test.each<[string, Partial<OwnView>]>([
  ['booted something else', { running: BAD }],
  ['has proved something else healthy', { committed: BAD }],
  ['has something on trial', { settled: false }],
  ['is another', { serial: 'DC-2' }],
])('the charger itself %s', (_, view) => {
  expect(healthyOn(GOOD, 'a', [service], [{ ...own, ...view }])).toEqual([]);
});

test('a charger that nothing ever happened to has a view of its own, without anything proved', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'tg-health-'));
  const slots = path.join(folder, 'DC-1', 'slots');
  await mkdir(slots, { recursive: true });
  await provisionSlots(slots, { sha256: GOOD, version: '1.0.0', securityVersion: 1 });
  expect(await slotViews(folder)).toEqual([
    { serial: 'DC-1', running: GOOD, committed: null, settled: true },
  ]);
  await rm(folder, { recursive: true });
});
