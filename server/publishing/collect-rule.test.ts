import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { metadataKey, targetKey } from '@tidegate/signer/repository';
import { collectable, type Inventory, KEEP_DAYS } from './collect-rule.ts';

const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.parse('2026-11-22T12:00:00Z');
const PRODUCT = 'acme.dc150';
const digest = (i: number) => String(i).padStart(64, '0');

const days = fc.integer({ min: 0, max: 3 * KEEP_DAYS });

/** Releases that share a bundle here and there, each with some of the others as fallbacks. */
const releases = fc
  .array(
    fc.record({
      yanked: fc.option(days),
      bundle: fc.nat(5),
      fallback: fc.array(fc.record({ to: fc.nat(7), expires: fc.integer({ min: -30, max: 30 }) }), {
        maxLength: 2,
      }),
    }),
    { maxLength: 8 },
  )
  .map((rows) =>
    rows.map(({ yanked, bundle, fallback }, i) => ({
      yankedAt: yanked === null ? null : NOW - yanked * DAY,
      target: release(i, bundle, fallback),
    })),
  );

function release(i: number, bundle: number, fallback: { to: number; expires: number }[]): ReleaseTarget {
  const side = { path: `${PRODUCT}/bundle-${bundle}`, sha256: digest(100 + bundle), length: 10 };
  const ways = fallback.map(({ to, expires }) => ({
    path: `${PRODUCT}/${to}`,
    sha256: digest(to),
    expires: new Date(NOW + expires * DAY).toISOString(),
    auto: true,
  }));
  const custom = { product: PRODUCT, version: `1.${i}.0`, hardware: ['r1'], securityVersion: 1 };
  return {
    path: `${PRODUCT}/${i}`,
    sha256: digest(i),
    length: 1000,
    custom: { ...custom, fallback: ways, bundles: [side], notes: '', sbom: null, cves: [] },
  };
}

const timestamps = fc
  .array(fc.record({ ago: days, targets: fc.nat(3), role: fc.nat(5) }), { minLength: 1, maxLength: 12 })
  .map((rows) =>
    rows
      .toSorted((a, b) => b.ago - a.ago)
      .map(({ ago, targets, role }, i) => ({
        version: i + 1,
        at: NOW - ago * DAY,
        snapshot: i + 1,
        targets: targets + 1,
        roles: { [PRODUCT]: role + 1 },
      })),
  );

const digests = fc.array(fc.nat(7), { maxLength: 3 }).map((all) => new Set(all.map(digest)));
const inventories: fc.Arbitrary<Inventory> = fc.record({
  timestamps,
  releases,
  running: digests,
  planned: digests,
});

/** Everything that may be asked for, said the other way round than the rule says it. */
function needed({ timestamps, releases, running, planned }: Inventory): Set<string> {
  const keys = new Set<string>();
  for (const [i, { snapshot, targets, roles }] of timestamps.entries()) {
    const next = timestamps[i + 1];
    if (next !== undefined && NOW - next.at > KEEP_DAYS * DAY) continue;
    keys.add(metadataKey('snapshot', snapshot)).add(metadataKey('targets', targets));
    keys.add(metadataKey(PRODUCT, roles[PRODUCT] ?? 0));
  }
  for (const { target, yankedAt } of releases) {
    const usable = yankedAt === null || running.has(target.sha256) || planned.has(target.sha256);
    if (!usable && NOW - (yankedAt ?? NOW) > KEEP_DAYS * DAY) continue;
    for (const file of [target, ...target.custom.bundles]) keys.add(targetKey(file.path, file.sha256));
    if (!usable) continue;
    for (const way of target.custom.fallback) {
      const to = releases.find((one) => one.target.sha256 === way.sha256)?.target;
      if (to === undefined || Date.parse(way.expires) <= NOW) continue;
      for (const file of [to, ...to.custom.bundles]) keys.add(targetKey(file.path, file.sha256));
    }
  }
  return keys;
}

test('what goes nobody needs, and what nobody needs goes', () =>
  fc.assert(
    fc.property(inventories, (inventory) => {
      const found = collectable(inventory, NOW);
      const gone = new Set([...found.documents, ...found.releases.flatMap(({ keys }) => keys)]);
      const kept = needed(inventory);
      for (const key of gone) {
        expect(kept.has(key)).toBe(false);
        expect(key).not.toMatch(/\.root\.json$|timestamp\.json$|^targets\/trust\//);
      }
      const all = [
        ...inventory.timestamps.flatMap(({ snapshot, targets, roles }) => [
          metadataKey('snapshot', snapshot),
          metadataKey('targets', targets),
          metadataKey(PRODUCT, roles[PRODUCT] ?? 0),
        ]),
        ...inventory.releases.flatMap(({ target }) =>
          [target, ...target.custom.bundles].map(({ path, sha256 }) => targetKey(path, sha256)),
        ),
      ];
      for (const key of all) expect(gone.has(key)).toBe(!kept.has(key));
    }),
    { seed: 20261127, numRuns: 3000 },
  ));
