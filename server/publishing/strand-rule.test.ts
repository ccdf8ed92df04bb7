import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareVersions, type Fallback, type ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { decideInstall } from '@tidegate/client-sdk/trust';
import { type Kind, lossOf, lostReleases, type Shelf } from './strand-rule.ts';

const PRODUCT = 'acme.dc150';
const NOW = Date.parse('2026-11-22T12:00:00Z');
const LATER = '2026-12-22T12:00:00Z';
const PAST = '2026-11-21T12:00:00Z';

const sha = (version: string) => `sha of ${version}`;
const wayTo = (version: string, expires = LATER): Fallback => ({
  path: `${PRODUCT}/${version}`,
  sha256: sha(version),
  expires,
  auto: true,
});

function release(
  version: string,
  { hardware = ['r1'], securityVersion = 1, fallback = [] as Fallback[] } = {},
): ReleaseTarget {
  const custom = { product: PRODUCT, version, hardware, securityVersion, fallback };
  return {
    path: `${PRODUCT}/${version}`,
    sha256: sha(version),
    length: 1,
    custom: { ...custom, bundles: [], notes: '', sbom: null, cves: [] },
  };
}

/** @param refused versions that are listed but not accepted. */
function shelf(
  releases: ReleaseTarget[],
  { refused = [] as string[], unlisted = [] as string[] } = {},
): Shelf {
  const byDigest = new Map(releases.map((one) => [one.sha256, one]));
  return {
    delegated: true,
    listed: new Map(
      releases.filter(({ custom }) => !unlisted.includes(custom.version)).map((one) => [one.path, one]),
    ),
    fallbacks: (sha256) => byDigest.get(sha256)?.custom.fallback ?? [],
    accepts: ({ custom }) => Promise.resolve(!refused.includes(custom.version)),
  };
}

const on = (version: string, change: Partial<Kind> = {}): Kind => ({
  hardware: 'r1',
  sha256: sha(version),
  version,
  securityVersion: 1,
  ...change,
});

describe('a charger is without a way on', () => {
  const one = release('1.0.0');
  const two = release('2.0.0', { fallback: [wayTo('1.0.0')] });
  const three = release('3.0.0');

  test.each<[string, Kind, Shelf, Shelf, string | undefined]>([
    [
      'its image is yanked, but there is a newer one',
      on('1.0.0'),
      shelf([one, three]),
      shelf([one, three], { unlisted: ['1.0.0'] }),
      undefined,
    ],
    [
      'its image is yanked, but it may fall back',
      on('2.0.0'),
      shelf([one, two]),
      shelf([one, two], { unlisted: ['2.0.0'] }),
      undefined,
    ],
    [
      'its image is denied, and its fallback list still counts',
      on('2.0.0'),
      shelf([one, two]),
      shelf([one, two], { refused: ['2.0.0'] }),
      undefined,
    ],
    [
      'image and way back go',
      on('2.0.0'),
      shelf([one, two]),
      shelf([one, two], { refused: ['1.0.0', '2.0.0'] }),
      'NO_WAY_ON',
    ],
    [
      'image and way back go, but there is a newer one',
      on('2.0.0'),
      shelf([one, two, three]),
      shelf([one, two, three], { refused: ['1.0.0', '2.0.0'] }),
      'NO_WAY_BACK',
    ],
    [
      'only the way back goes',
      on('2.0.0'),
      shelf([one, two]),
      shelf([one, two], { unlisted: ['1.0.0'] }),
      'NO_WAY_BACK',
    ],
    [
      'the role takes the fallback from its entry',
      on('2.0.0'),
      shelf([one, two]),
      shelf([one, release('2.0.0')]),
      'NO_WAY_BACK',
    ],
    [
      'the newer one is for other hardware',
      on('1.0.0', { hardware: 'r2' }),
      shelf([release('1.0.0', { hardware: ['r2'] }), three]),
      shelf([release('1.0.0', { hardware: ['r2'] }), three], { unlisted: ['1.0.0'] }),
      'NO_WAY_ON',
    ],
    [
      'the emergency floor is above all that there is for its hardware',
      on('1.0.0'),
      shelf([one, release('3.0.0', { hardware: ['r2'], securityVersion: 9 })]),
      shelf([one, release('3.0.0', { hardware: ['r2'], securityVersion: 9 })], { refused: ['1.0.0'] }),
      'NO_WAY_ON',
    ],
    [
      'the newer one is below its floor',
      on('2.0.0', { securityVersion: 5 }),
      shelf([release('2.0.0', { securityVersion: 5 }), three]),
      shelf([release('2.0.0', { securityVersion: 5 }), three], { unlisted: ['2.0.0'] }),
      'NO_WAY_ON',
    ],
    [
      'a factory image loses the only release',
      on('0.9.0', { sha256: null }),
      shelf([one]),
      shelf([one], { unlisted: ['1.0.0'] }),
      'NO_WAY_ON',
    ],
    [
      'a factory image had nowhere to go before',
      on('9.0.0', { sha256: null }),
      shelf([one]),
      shelf([one], { unlisted: ['1.0.0'] }),
      undefined,
    ],
    [
      'a charger that never reported takes any release',
      on('', { sha256: null, version: null, securityVersion: null }),
      shelf([one]),
      shelf([one], { unlisted: ['1.0.0'] }),
      'NO_WAY_ON',
    ],
    [
      'nothing changes for one that was lost already',
      on('2.0.0'),
      shelf([two], { refused: ['2.0.0'] }),
      shelf([two], { unlisted: ['2.0.0'] }),
      undefined,
    ],
    [
      'its fallback had expired anyway',
      on('2.0.0'),
      shelf([one, release('2.0.0', { fallback: [wayTo('1.0.0', PAST)] })]),
      shelf([one, release('2.0.0', { fallback: [wayTo('1.0.0', PAST)] })], { unlisted: ['1.0.0'] }),
      undefined,
    ],
    [
      'its fallback is made to end before now',
      on('2.0.0'),
      shelf([one, two]),
      shelf([one, release('2.0.0', { fallback: [wayTo('1.0.0', PAST)] })]),
      'NO_WAY_BACK',
    ],
    [
      'a later fallback below its floor does not help',
      on('2.0.0', { securityVersion: 5 }),
      shelf([one, release('2.0.0', { securityVersion: 5 })]),
      shelf([one, release('2.0.0', { securityVersion: 5, fallback: [wayTo('1.0.0')] })], {
        unlisted: ['2.0.0'],
      }),
      'NO_WAY_ON',
    ],
    ['its product goes', on('1.0.0'), shelf([one]), { ...shelf([one]), delegated: false }, 'PRODUCT_REMOVED'],
    ['nothing changes', on('2.0.0'), shelf([one, two]), shelf([one, two]), undefined],
  ])('%s', async (_name, kind, before, after, loss) => {
    expect(await lossOf(kind, before, after, NOW)).toBe(loss);
  });
});

describe('a release is lost', () => {
  const one = release('1.0.0');
  const two = release('2.0.0', { fallback: [wayTo('1.0.0')] });
  const none = new Map<string, string>();
  const before = shelf([one, two]);

  test('to the rollout that brings it', async () => {
    const lost = await lostReleases(
      new Map([['2.0.0', 'r-1']]),
      before,
      shelf([one, two], { refused: ['2.0.0'] }),
      NOW,
    );
    expect(lost).toEqual([{ release: two, neededBy: { kind: 'ROLLOUT', rollout: 'r-1' } }]);
  });

  test('as the way back of a release that may be rolled out, and only as long as that may be', async () => {
    const needed = [{ release: one, neededBy: { kind: 'FALLBACK', path: two.path } }];
    expect(await lostReleases(none, before, shelf([one, two], { unlisted: ['1.0.0'] }), NOW)).toEqual(needed);
    expect(await lostReleases(none, before, shelf([one, two], { refused: ['1.0.0'] }), NOW)).toEqual(needed);
    expect(await lostReleases(none, before, shelf([one, two], { refused: ['1.0.0', '2.0.0'] }), NOW)).toEqual(
      [],
    );
    expect(
      await lostReleases(none, before, shelf([one, two], { unlisted: ['1.0.0', '2.0.0'] }), NOW),
    ).toEqual([]);
    expect(await lostReleases(none, before, before, Date.parse(LATER))).toEqual([]);
  });

  test('not when it was refused before', async () => {
    const refused = shelf([one, two], { refused: ['1.0.0'] });
    expect(await lostReleases(none, refused, shelf([one, two], { unlisted: ['1.0.0'] }), NOW)).toEqual([]);
  });
});

/** Against the charger's own code: whoever is not named as stuck could take something, or stands where it may. */
describe('what the rule says is what a charger would do', () => {
  const versions = ['1.0.0', '1.1.0', '2.0.0', '2.1.0', '3.0.0-rc.1', '3.0.0'];
  const hardware = fc.subarray(['r1', 'r2'], { minLength: 1 });
  const catalogue = fc
    .array(
      fc.record({
        hardware,
        securityVersion: fc.integer({ min: 1, max: 3 }),
        fallback: fc.subarray([0, 1, 2, 3, 4, 5]),
        live: fc.boolean(),
        before: fc.constantFrom('accepted', 'refused', 'unlisted'),
        after: fc.constantFrom('accepted', 'refused', 'unlisted'),
      }),
      { minLength: 6, maxLength: 6 },
    )
    .map((rows) =>
      rows.map((row, i) => ({
        ...row,
        release: release(versions[i] ?? '', {
          hardware: row.hardware,
          securityVersion: row.securityVersion,
          fallback: row.fallback
            .filter((to) => to < i)
            .map((to) => wayTo(versions[to] ?? '', row.live ? LATER : PAST)),
        }),
      })),
    );

  test('for any catalogue, change and charger', () =>
    fc.assert(
      fc.asyncProperty(catalogue, fc.nat(5), fc.constantFrom('r1', 'r2'), async (rows, running, fits) => {
        const state = (when: 'before' | 'after'): Shelf =>
          shelf(
            rows.map((row) => row.release),
            {
              refused: rows.flatMap((row) => (row[when] === 'refused' ? [row.release.custom.version] : [])),
              unlisted: rows.flatMap((row) => (row[when] === 'unlisted' ? [row.release.custom.version] : [])),
            },
          );
        const own = rows[running]?.release;
        if (own === undefined) return;
        const { version, securityVersion } = own.custom;
        const kind = { hardware: fits, sha256: own.sha256, version, securityVersion };
        const loss = await lossOf(kind, state('before'), state('after'), NOW);

        const takes = (when: 'before' | 'after') =>
          rows
            .filter((row) => row[when] === 'accepted' && takesOn(kind, own, row.release))
            .map(({ release }) => release);
        const standing = (when: 'before' | 'after') => rows[running]?.[when] === 'accepted';
        const wayOn = (when: 'before' | 'after') => standing(when) || takes(when).length > 0;
        const wayBack = (when: 'before' | 'after') =>
          takes(when).some((target) => compareVersions(target.custom.version, version) < 0);
        const expected =
          wayOn('before') && !wayOn('after')
            ? 'NO_WAY_ON'
            : wayBack('before') && !wayBack('after')
              ? 'NO_WAY_BACK'
              : undefined;
        expect(loss).toBe(expected);
      }),
      { seed: 20261127, numRuns: 3000 },
    ));

  /** `decideInstall` on a charger whose floor was held down for its signed fallbacks, and for nothing else. */
  function takesOn(kind: Kind, own: ReleaseTarget, target: ReleaseTarget): boolean {
    if (target === own) return false;
    const back = own.custom.fallback.some(({ sha256 }) => sha256 === target.sha256);
    const floor = back
      ? Math.min(own.custom.securityVersion, target.custom.securityVersion)
      : own.custom.securityVersion;
    try {
      decideInstall({
        target,
        charger: { product: PRODUCT, hardware: kind.hardware },
        state: {
          committed: { sha256: own.sha256, ...own.custom },
          floor,
          fallbackOfInstalled: own.custom.fallback,
          fellBackFrom: [],
        },
        policy: {
          _type: 'tidegate-policy',
          version: 1,
          directors: {},
          products: {
            [PRODUCT]: { builders: [], logs: 0, timestamps: 0, securityVersionCap: 100, emergencyFloor: 0 },
          },
          denied: { digests: [], signers: [] },
        },
        now: NOW,
      });
      return true;
    } catch {
      return false;
    }
  }
});
