import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareVersions, type Fallback } from '../protocol/index.ts';
import { decideInstall, floorAfterCommit, type InstallQuestion, type InstallState } from './install-rules.ts';
import { testKey } from './testing/keys.ts';
import { codeOf, expectRefusal } from './testing/refused.ts';
import { IMAGE, policy, release } from './testing/releases.ts';
import { inDays, NOW, PRODUCT } from './testing/repository.ts';

const DAY = 24 * 60 * 60 * 1000;
const trusted = policy(testKey(), testKey());
const older = release({ version: '1.1.0', securityVersion: 2 }, Buffer.from('the older image'));

function state(changes: Partial<InstallState> = {}): InstallState {
  return {
    committed: { sha256: 'f'.repeat(64), version: '1.1.9', securityVersion: 3 },
    floor: 2,
    fallbackOfInstalled: [],
    fellBackFrom: [],
    ...changes,
  };
}

function question(changes: Partial<InstallQuestion> = {}): InstallQuestion {
  return {
    target: release(),
    charger: { product: PRODUCT, hardware: 'dc150-r2' },
    state: state(),
    policy: trusted,
    now: NOW,
    ...changes,
  };
}

function way(changes: Partial<Fallback> = {}): Fallback {
  return { path: older.path, sha256: older.sha256, expires: inDays(30), auto: true, ...changes };
}

describe('decideInstall', () => {
  it('lets a charger go up', () => {
    expect(codeOf(() => decideInstall(question()))).toBe('accepted');
  });

  it('refuses another product, whatever the path says', () => {
    expectRefusal('PRODUCT_MISMATCH', () =>
      decideInstall(question({ charger: { product: 'acme.ac22', hardware: 'dc150-r2' } })),
    );
    const target = { ...release(), path: 'acme.ac22/dc150-1.2.0.raucb' };
    expectRefusal('PRODUCT_MISMATCH', () => decideInstall(question({ target })));
    const { path } = release();
    const lying = { ...release({ product: 'acme.ac22' }), path };
    expectRefusal('PRODUCT_MISMATCH', () => decideInstall(question({ target: lying })));
  });

  it('refuses hardware that the release does not list', () => {
    expectRefusal('HARDWARE_MISMATCH', () =>
      decideInstall(question({ charger: { product: PRODUCT, hardware: 'dc150-r3' } })),
    );
  });

  it('refuses below the floor, below the emergency floor and above the cap', () => {
    expectRefusal('BELOW_FLOOR', () => decideInstall(question({ state: state({ floor: 4 }) })));
    expectRefusal('BELOW_FLOOR', () => decideInstall(question({ state: state({ floor: NaN }) })));
    const limits = (emergencyFloor: number, securityVersionCap: number) => ({
      ...trusted,
      products: { [PRODUCT]: { ...trusted.products[PRODUCT]!, emergencyFloor, securityVersionCap } },
    });
    expectRefusal('BELOW_EMERGENCY_FLOOR', () => decideInstall(question({ policy: limits(4, 10) })));
    expectRefusal('ABOVE_CAP', () => decideInstall(question({ policy: limits(0, 2) })));
  });

  it('refuses a denied image', () => {
    const denied = { digests: [release().sha256], signers: [] };
    expectRefusal('DENIED', () => decideInstall(question({ policy: { ...trusted, denied } })));
  });

  it('refuses a downgrade that the committed image does not sign', () => {
    expectRefusal('DOWNGRADE_UNSIGNED', () => decideInstall(question({ target: older })));
  });

  it('goes down along a signed fallback, until it expires', () => {
    const down = (fallback: Fallback, now = NOW) =>
      codeOf(() =>
        decideInstall(question({ target: older, state: state({ fallbackOfInstalled: [fallback] }), now })),
      );
    expect(down(way())).toBe('accepted');
    expect(down(way(), NOW + 30 * DAY)).toBe('DOWNGRADE_UNSIGNED');
    expect(down(way({ sha256: '0'.repeat(64) }))).toBe('DOWNGRADE_UNSIGNED');
    expect(down(way({ path: `${PRODUCT}/other.raucb` }))).toBe('DOWNGRADE_UNSIGNED');
  });

  it('goes down along a fallback even when the running image is denied', () => {
    const denied = { digests: [state().committed.sha256!], signers: [] };
    const from = state({ fallbackOfInstalled: [way()] });
    decideInstall(question({ target: older, state: from, policy: { ...trusted, denied } }));
  });

  it('never goes below the floor, signed or not', () => {
    const from = state({ floor: 3, fallbackOfInstalled: [way()] });
    expectRefusal('BELOW_FLOOR', () => decideInstall(question({ target: older, state: from })));
  });

  it('refuses the same version with other bytes, and takes it with the same', () => {
    const committed = { sha256: 'f'.repeat(64), version: '1.2.0', securityVersion: 3 };
    expectRefusal('DOWNGRADE_UNSIGNED', () => decideInstall(question({ state: state({ committed }) })));
    const unknown = { ...committed, sha256: null };
    expectRefusal('DOWNGRADE_UNSIGNED', () =>
      decideInstall(question({ state: state({ committed: unknown }) })),
    );
    const same = { ...committed, sha256: release().sha256 };
    decideInstall(question({ state: state({ committed: same }) }));
  });

  it('lets a charger leave an uncommitted trial for its committed image', () => {
    // The trial runs 1.2.0; what counts is the image committed before it.
    const committed = { sha256: older.sha256, version: '1.1.0', securityVersion: 2 };
    decideInstall(question({ target: older, state: state({ committed }) }));
  });

  it('refuses an image that it fell back from twice in 30 days', () => {
    const fall = (days: number) => ({ sha256: release().sha256, at: NOW - days * DAY });
    const decided = (fellBackFrom: InstallState['fellBackFrom']) =>
      codeOf(() => decideInstall(question({ state: state({ fellBackFrom }) })));
    expect(decided([fall(1)])).toBe('accepted');
    expect(decided([fall(1), fall(29)])).toBe('REPEATEDLY_FAILED');
    expect(decided([fall(1), fall(31)])).toBe('accepted');
    expect(decided([fall(1), { sha256: older.sha256, at: NOW }])).toBe('accepted');
  });

  it('never accepts anything below the floor, nor an older version without a signed way (property)', () => {
    const version = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)).map((parts) => parts.join('.'));
    const small = fc.nat(5);
    fc.assert(
      fc.property(
        version,
        version,
        small,
        small,
        fc.boolean(),
        fc.integer({ min: -9, max: 9 }),
        (to, from, sv, floor, listed, days) => {
          const target = release({ version: to, securityVersion: sv }, IMAGE);
          const ways = listed
            ? [way({ path: target.path, sha256: target.sha256, expires: inDays(days) })]
            : [];
          const committed = { sha256: 'f'.repeat(64), version: from, securityVersion: 0 };
          const accepted =
            codeOf(() =>
              decideInstall(
                question({ target, state: state({ committed, floor, fallbackOfInstalled: ways }) }),
              ),
            ) === 'accepted';
          const allowed = sv >= floor && (compareVersions(to, from) > 0 || (listed && days > 0));
          expect(accepted).toBe(allowed);
        },
      ),
      { seed: 20261122, numRuns: 200 },
    );
  });
});

describe('floorAfterCommit', () => {
  const commit = (floor: number, ways: [Fallback, number | undefined][], securityVersion = 5, cap = 10) =>
    floorAfterCommit({
      floor,
      committed: { securityVersion, fallback: ways.map(([fallback]) => fallback) },
      securityVersionOf: (fallback) => ways.find(([known]) => known === fallback)?.[1],
      cap,
      now: NOW,
    });

  it('rises to the committed image where nothing else is allowed', () => {
    expect(commit(2, [])).toBe(5);
  });

  it('stays at the lowest fallback still allowed', () => {
    expect(
      commit(2, [
        [way(), 3],
        [way(), 4],
      ]),
    ).toBe(3);
    expect(
      commit(2, [
        [way({ expires: inDays(-1) }), 3],
        [way(), 4],
      ]),
    ).toBe(4);
    expect(
      commit(2, [
        [way(), undefined],
        [way(), 4],
      ]),
    ).toBe(4);
  });

  it('never falls, and never rises above the cap', () => {
    expect(commit(4, [[way(), 1]])).toBe(4);
    expect(commit(2, [], 1_000_000, 10)).toBe(10);
  });
});
