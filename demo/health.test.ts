import { expect, test } from 'vitest';
import { healthyOn, type OwnView, type ServiceView } from './health.ts';

const GOOD = 'aa';
const BAD = 'bb';

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
