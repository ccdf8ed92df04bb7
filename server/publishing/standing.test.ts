import { array, assert, constantFrom, integer, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import { aheadOf, believedVersion, type Claim, isBehind, type Witnesses } from './standing.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const UNIX = NOW / 1000;
const PRODUCT = 'acme.dc150';
const PUBLISHED = {
  root: 3,
  targets: 5,
  snapshot: UNIX - 900,
  timestamp: UNIX - 100,
  roles: { [PRODUCT]: 7 },
};
const LARGE: Witnesses = { chargers: 3, sites: 2 };

const claims = (role: string, version: number, ...who: [serial: string, site: string][]): Claim[] =>
  who.map(([serial, site]) => ({ role, version, serial, site }));
const three: [string, string][] = [
  ['a', 'one'],
  ['b', 'one'],
  ['c', 'two'],
];
const judge = (given: Claim[], witnesses = LARGE) => aheadOf(PUBLISHED, given, witnesses, NOW);

test.each([
  ['root', 4],
  ['targets', 6],
  ['snapshot', UNIX - 5],
  ['timestamp', UNIX + 60],
  [PRODUCT, 9],
])('%s: three chargers at two sites are believed', (role, version) => {
  expect(judge(claims(role, version, ...three))).toMatchObject([
    { role, reported: version, chargers: 3, sites: 2, credence: 'believed' },
  ]);
  expect(isBehind(judge(claims(role, version, ...three)))).toBe(true);
});

test('two chargers, or three at one site, are not; they are named all the same', () => {
  const alone = three.map(([serial]): [string, string] => [serial, 'one']);
  for (const few of [three.slice(1), alone]) {
    const ahead = judge(claims('root', 4, ...few));
    expect(ahead).toMatchObject([{ reported: 4, chargers: few.length, credence: 'few' }]);
    expect(isBehind(ahead)).toBe(false);
  }
});

test('a fleet that is smaller than that is believed when all of it says so', () => {
  const one = claims('targets', 6, ['a', 'one']);
  expect(isBehind(judge(one, { chargers: 1, sites: 1 }))).toBe(true);
  expect(isBehind(judge(one, { chargers: 2, sites: 1 }))).toBe(false);
  const both = claims('targets', 6, ['a', 'one'], ['b', 'two']);
  expect(isBehind(judge(both, { chargers: 2, sites: 2 }))).toBe(true);
});

test('the version that is believed is the highest that three bear out, whatever one of them says beyond it', () => {
  const ahead = judge([...claims(PRODUCT, 9, ...three), ...claims(PRODUCT, 700, ['thief', 'two'])]);
  expect(believedVersion(ahead, PRODUCT)).toBe(9);
  const [first, ...others] = three;
  const mixed = judge([...claims(PRODUCT, 12, first!), ...claims(PRODUCT, 9, ...others)]);
  expect(believedVersion(mixed, PRODUCT)).toBe(9);
});

test('what is published already, and a product that is not, says nothing', () => {
  expect(judge([...claims('root', 3, ...three), ...claims('acme.gone', 9, ...three)])).toEqual([]);
});

test('no number of chargers makes a version believed that cannot have been reached', () => {
  const far: Record<string, number> = {
    root: 2 ** 31,
    timestamp: UNIX + 3600,
    snapshot: 2 ** 53 - 1,
    [PRODUCT]: 10_000,
  };
  for (const [role, version] of Object.entries(far)) {
    const many = Array.from({ length: 20 }, (_, i): [string, string] => [`s${i}`, `site-${i % 5}`]);
    expect(judge(claims(role, version, ...many))).toMatchObject([{ credence: 'absurd' }]);
  }
});

test('one charger in a large fleet never stops the service, and what is believed is always within reach', () => {
  const claim = record({
    role: constantFrom('root', 'targets', 'snapshot', 'timestamp', PRODUCT),
    version: integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  });
  assert(
    property(array(claim, { maxLength: 8 }), (given) => {
      expect(isBehind(judge(given.map((each) => ({ ...each, serial: 'thief', site: 'one' }))))).toBe(false);
      const all = given.flatMap((each) => three.map(([serial, site]) => ({ ...each, serial, site })));
      expect(believedVersion(judge(all), 'timestamp')).toBeLessThanOrEqual(UNIX + 300);
      expect(believedVersion(judge(all), PRODUCT)).toBeLessThanOrEqual(7 + 1024);
    }),
    { seed: 16, numRuns: 1000 },
  );
});
