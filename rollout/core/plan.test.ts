import { describe, expect, it } from 'vitest';
import { demoPlan } from '../simulation/demo-plan.ts';
import { createRollout } from './create.ts';
import { parsePlan } from './plan.ts';

function codes(input: unknown): string[] {
  const parsed = parsePlan(input);
  return parsed.ok ? [] : parsed.problems.map((problem) => `${problem.code} ${problem.pointer}`);
}

function sizes(input: unknown, population: number): number[] | string[] {
  const parsed = parsePlan(input);
  if (!parsed.ok) return parsed.problems.map((problem) => problem.code);
  const created = createRollout({
    id: 'r',
    organisation: 'acme',
    product: 'acme.dc',
    release: { path: 'acme.dc/1', version: '1.0.0', sha256: 'a', length: 1 },
    author: 'alice',
    plan: parsed.plan,
    seed: 's',
    population,
    now: 0,
  });
  if (!created.ok) return created.problems.map((problem) => `${problem.code} ${problem.pointer}`);
  return created.rollout.steps.map((step) => step.size);
}

const share = (value: number) => ({ size: { share: value } });
const count = (value: number) => ({ size: { count: value } });

describe('parsePlan', () => {
  it('fills every default', () => {
    const parsed = parsePlan({});
    expect(parsed.ok && parsed.plan).toMatchObject({
      canary: { name: 'canary', size: { share: 0.05 }, approvals: 1 },
      waves: [{ name: 'wave 1' }, { name: 'wave 2' }],
      holdBack: { share: 0.1 },
      approvals: 1,
      detector: { alpha: 0.01, binMinutes: 15, deduplicateMinutes: 15 },
      startAt: null,
    });
  });

  it('reads the plan of the demo', () => expect(codes(demoPlan)).toEqual([]));

  it.each<[string, unknown, string[]]>([
    ['waves over 100 %', { waves: [share(0.7), share(0.6)] }, ['OVER_100_PERCENT /waves']],
    ['no room for a hold-back', { waves: [share(0.9)] }, ['HOLD_BACK_EMPTY /holdBack']],
    ['an empty hold-back', { holdBack: { count: 0 } }, ['HOLD_BACK_EMPTY /holdBack']],
    ['an empty canary', { canary: count(0) }, ['CANARY_EMPTY /canary/size']],
    ['an empty wave', { waves: [share(0)] }, ['WAVE_EMPTY /waves/0/size']],
    ['a share above 1', { canary: share(1.5) }, ['OUT_OF_RANGE /canary/size/share']],
    ['a share below 0', { canary: share(-0.1) }, ['OUT_OF_RANGE /canary/size/share']],
    ['a soak of no time', { canary: { soak: { hours: 0 } } }, ['SOAK_EMPTY /canary/soak/hours']],
    ['a soak of next to no time', { canary: { soak: { hours: 1e-9 } } }, ['SOAK_EMPTY /canary/soak/hours']],
    [
      'a soak of next to no exposure',
      { waves: [{ size: { share: 0.1 }, soak: { chargerHours: 0.99 } }] },
      ['SOAK_EMPTY /waves/0/soak/chargerHours'],
    ],
    [
      'a soak of no exposure',
      { canary: { soak: { hours: 1, chargerHours: 0 } } },
      ['SOAK_EMPTY /canary/soak/chargerHours'],
    ],
    ['a count and a share', { canary: { size: { count: 1, share: 0.1 } } }, ['MALFORMED /canary/size']],
    ['a misspelt field', { maxFailedshare: 0.2 }, ['UNKNOWN_FIELD /maxFailedshare']],
    ['half a charger', { canary: count(1.5) }, ['MALFORMED /canary/size/count']],
    ['an α of 1', { detector: { alpha: 1 } }, ['OUT_OF_RANGE /detector/alpha']],
    ['a ratio of 1', { detector: { ratios: [1] } }, ['MALFORMED /detector/ratios']],
    ['no limit per site', { limits: { perSite: 0 } }, ['OUT_OF_RANGE /limits/perSite']],
    ['two waves of one name', { waves: [{ ...share(0.1), name: 'canary' }] }, ['NAME_TAKEN /waves']],
    [
      'tolerated failures that could never soak',
      { maxFailedShare: 0.3, healthyShare: 0.95 },
      ['OUT_OF_RANGE /healthyShare'],
    ],
    ['a start that is no time', { startAt: 'soon' }, ['MALFORMED /startAt']],
    ['no object', [], ['MALFORMED ']],
    ['waves that are no list', { waves: {} }, ['MALFORMED /waves']],
    ['a wave that is no object', { waves: [null] }, ['MALFORMED /waves/0', 'MALFORMED /waves/0/size']],
  ])('refuses %s', (_, input, expected) => expect(codes(input)).toEqual(expected));
});

it('takes the least soak that it names', () =>
  expect(codes({ canary: { soak: { hours: 1, chargerHours: 1 } } })).toEqual([]));

describe('sizes, settled against the fleet', () => {
  it.each<[string, unknown, number, number[] | string[]]>([
    ['counts', demoPlan, 60, [12, 12, 30, 6]],
    ['counts in a larger fleet: the hold-back takes the rest', demoPlan, 70, [12, 12, 30, 16]],
    ['counts in a smaller fleet', demoPlan, 40, ['OVER_100_PERCENT /waves']],
    ['counts that eat the hold-back', demoPlan, 59, ['HOLD_BACK_EMPTY /holdBack']],
    ['shares cover the fleet exactly', {}, 1003, [50, 250, 602, 101]],
    ['a tiny fleet drops waves that round to nobody', {}, 3, [1, 1, 1]],
    ['two chargers', {}, 2, [1, 1]],
    ['one charger', {}, 1, ['POPULATION_TOO_SMALL ']],
    ['no charger', {}, 0, ['POPULATION_TOO_SMALL ']],
  ])('%s', (_, plan, population, expected) => expect(sizes(plan, population)).toEqual(expected));
});
