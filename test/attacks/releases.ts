/** What a release says, and whether it may go to this charger: `custom`, the statement, floors, ways down, the deny list. */
import { randomBytes } from 'node:crypto';
import type { Fallback, ProductPolicy, ReleaseTarget, TrustPolicy } from '@tidegate/client-sdk/protocol';
import { keyBundle, release, statement, withBundles } from '../../client-sdk/trust/testing/releases.ts';
import { PRODUCT } from '../../client-sdk/trust/testing/repository.ts';
import type { Attack } from './attack.ts';
import type { Scene } from './scene.ts';

const SIGNED = 'a mistake of release engineers';
const DIRECTOR = 'director key';
const DAY = 24 * 60 * 60 * 1000;
const FAR = '2027-06-01T00:00:00Z';

function change(scene: Scene, edit: (policy: TrustPolicy, product: ProductPolicy) => void): void {
  const changed = structuredClone(scene.service.policy);
  const product = changed.products[PRODUCT];
  if (product === undefined) throw new Error('the policy names the product');
  changed.version += 1;
  edit(changed, product);
  scene.service.publishPolicy(changed);
}

function way(target: ReleaseTarget, expires = FAR): Fallback {
  return { path: target.path, sha256: target.sha256, expires, auto: true };
}

/** Runs 1.2.0, which may fall back to 1.1.0. */
async function onNewer(scene: Scene, listed: (older: ReleaseTarget) => Fallback[]): Promise<ReleaseTarget> {
  const older = await scene.publish({ version: '1.1.0' });
  scene.want(older);
  await scene.settle();
  await scene.update({ version: '1.2.0', fallback: listed(older) });
  return older;
}

export const RELEASES: Attack[] = [
  {
    name: 'wrong product: the image of another product in our role',
    compromised: SIGNED,
    expected: { charger: 'stays', code: 'PRODUCT_MISMATCH' },
    async play(scene, attacked) {
      const mine = `${PRODUCT}/other.raucb`;
      scene.want(
        await scene.publish(attacked ? { product: 'acme.ac22' } : {}, attacked ? { path: mine } : {}),
      );
      if (!attacked) return;
      // Side files lie below their own product.
      const { target } = scene.service.wanted ?? {};
      if (target) scene.list({ ...target, custom: { ...target.custom, bundles: [] } });
    },
  },
  {
    name: 'wrong hardware: a release that does not list this charger',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'HARDWARE_MISMATCH' },
    async play(scene, attacked) {
      scene.want(await scene.publish(attacked ? { hardware: ['dc150-r1'] } : {}));
    },
  },
  ...(
    [
      ['product', { product: 'acme.ac22' }],
      ['version', { version: '1.2.1' }],
      ['hardware', { hardware: ['dc150-r1', 'dc150-r2', 'dc150-r3'] }],
      ['securityVersion', { securityVersion: 4 }],
    ] as const
  ).map(([field, attested]): Attack => ({
    name: `custom against statement: ${field}`,
    compromised: 'release engineers at threshold',
    expected: { charger: 'stays', code: 'STATEMENT_MISMATCH' },
    async play(scene, attacked) {
      scene.want(
        await scene.publish(
          {},
          attacked
            ? {
                attested: {
                  ...attested,
                  hardware: [...('hardware' in attested ? attested.hardware : ['dc150-r1', 'dc150-r2'])],
                },
              }
            : {},
        ),
      );
    },
  })),
  {
    name: 'custom with a field that is not known',
    compromised: SIGNED,
    expected: { charger: 'stays', code: 'TARGET_MALFORMED' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      const custom = { ...target.custom, requires: 'a newer charger' };
      if (attacked) scene.list({ ...target, custom });
    },
  },
  {
    name: 'extraneous dependency: a side file outside the product',
    compromised: 'release engineers at threshold',
    expected: { charger: 'stays', code: 'TARGET_MALFORMED' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      const sbom = { path: 'acme.ac22/modem.bin', sha256: 'a'.repeat(64), length: 10 };
      if (attacked) scene.list({ ...target, custom: { ...target.custom, sbom } });
    },
  },
  {
    name: 'extraneous component: two subjects in one statement',
    compromised: 'CI',
    expected: { charger: 'stays', code: 'BUNDLE_INVALID' },
    async play(scene, attacked) {
      const two = (target: ReleaseTarget) => {
        const said = statement(target);
        said.subject.push({ name: 'modem.bin', digest: { sha256: 'b'.repeat(64) } });
        return [keyBundle(scene.service.builder, said)];
      };
      scene.want(await scene.publish({}, attacked ? { bundles: two } : {}));
    },
  },
  {
    name: 'extraneous component: an external parameter more in the build',
    compromised: 'CI',
    expected: { charger: 'stays', code: 'BUNDLE_INVALID' },
    async play(scene, attacked) {
      const more = (target: ReleaseTarget) => {
        const said = statement(target);
        Object.assign(said.predicate.buildDefinition.externalParameters, { with: 'backdoor' });
        return [keyBundle(scene.service.builder, said)];
      };
      scene.want(await scene.publish({}, attacked ? { bundles: more } : {}));
    },
  },
  {
    name: 'extraneous component: bytes after the image',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'IMAGE_LENGTH' },
    async play(scene, attacked) {
      const image = randomBytes(20_000);
      const target = await scene.publish({}, { image });
      scene.want(target);
      const longer = Buffer.concat([image, randomBytes(10)]);
      if (attacked) scene.service.put(target.path, target.sha256, longer);
    },
  },
  {
    name: 'poisoned security version: above the cap',
    compromised: 'CI and release engineers at threshold',
    expected: { charger: 'stays', code: 'ABOVE_CAP' },
    async play(scene, attacked) {
      scene.want(await scene.publish(attacked ? { securityVersion: 11 } : {}));
    },
  },
  {
    name: 'poisoned security version: at the cap, lifts the floor to its fallback and no further',
    compromised: 'CI and release engineers at threshold',
    expected: { charger: 'installs', because: 'the way back stays open' },
    async play(scene, attacked) {
      const older = await scene.publish({ version: '1.1.0' });
      scene.want(older);
      await scene.settle();
      await scene.update({
        version: '1.2.0',
        securityVersion: attacked ? 10 : 3,
        fallback: [way(older)],
      });
      scene.want(older);
    },
  },
  {
    name: 'below the floor',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'BELOW_FLOOR' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0', securityVersion: 4 });
      scene.want(await scene.publish({ version: '1.2.0', securityVersion: attacked ? 3 : 4 }));
    },
  },
  {
    name: 'below the floor, although it is on the fallback list',
    compromised: SIGNED,
    expected: { charger: 'stays', code: 'BELOW_FLOOR' },
    async play(scene, attacked) {
      const older = await scene.publish({ version: '1.1.0', securityVersion: 3 });
      scene.want(older);
      await scene.settle();
      await scene.update({ version: '1.2.0', securityVersion: attacked ? 4 : 3 });
      const newer = scene.service.wanted?.target;
      if (newer) scene.list({ ...newer, custom: { ...newer.custom, fallback: [way(older)] } });
      scene.want(older);
    },
  },
  {
    name: "below the policy's emergency floor",
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'BELOW_EMERGENCY_FLOOR' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) change(scene, (_, product) => (product.emergencyFloor = 4));
    },
  },
  {
    name: 'an emergency floor that was lifted again binds nobody',
    compromised: 'nobody',
    expected: { charger: 'installs', because: 'it is read each time, never latched' },
    async play(scene, attacked) {
      const target = await scene.publish();
      if (attacked) {
        change(scene, (_, product) => (product.emergencyFloor = 4));
        await scene.pass();
        change(scene, (_, product) => (product.emergencyFloor = 0));
      }
      scene.want(target);
    },
  },
  {
    name: 'downgrade outside the fallback list',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'DOWNGRADE_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await onNewer(scene, (older) => (attacked ? [] : [way(older)])));
    },
  },
  {
    name: 'downgrade along a fallback of another path',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'DOWNGRADE_UNSIGNED' },
    async play(scene, attacked) {
      const other = `${PRODUCT}/elsewhere.raucb`;
      scene.want(await onNewer(scene, (older) => [attacked ? { ...way(older), path: other } : way(older)]));
    },
  },
  {
    name: 'an expired fallback',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'DOWNGRADE_UNSIGNED' },
    async play(scene, attacked) {
      const soon = '2026-11-22T18:00:00Z';
      const older = await onNewer(scene, (older) => [way(older, attacked ? soon : FAR)]);
      scene.tick(DAY / 3);
      scene.want(older);
    },
  },
  {
    name: 'the same version with other bytes',
    compromised: 'CI and release engineers at threshold',
    expected: { charger: 'stays', code: 'DOWNGRADE_UNSIGNED' },
    async play(scene, attacked) {
      await scene.update({ version: '1.2.0' });
      scene.want(await scene.publish({ version: attacked ? '1.2.0' : '1.2.1' }));
    },
  },
  {
    name: 'a version that only looks newer (1.10.0-rc.1 after 1.10.0)',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'DOWNGRADE_UNSIGNED' },
    async play(scene, attacked) {
      await scene.update({ version: '1.10.0' });
      scene.want(await scene.publish({ version: attacked ? '1.10.0-rc.1' : '1.11.0-rc.1' }));
    },
  },
  {
    name: 'an image that this charger fell back from twice',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'REPEATEDLY_FAILED' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const target = await scene.publish({ version: '1.2.0' });
      scene.healthy = false;
      for (let i = 0; i < (attacked ? 2 : 1); i++) {
        scene.want(target);
        for (let pass = 0; pass < 4; pass++) {
          await scene.settle(3);
          scene.tick(600_000);
        }
      }
      scene.healthy = true;
      await scene.mark();
      scene.want(target);
    },
  },
  {
    name: 'a denied digest',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'DENIED' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      if (attacked) change(scene, ({ denied }) => denied.digests.push(target.sha256));
    },
  },
  {
    name: 'a denied digest that is staged already',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'DENIED' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      scene.charging = true;
      await scene.settle(3);
      if (attacked) change(scene, ({ denied }) => denied.digests.push(target.sha256));
      scene.charging = false;
    },
  },
  {
    name: 'a denied running image keeps running, and its fallback list still counts',
    compromised: 'nobody',
    expected: { charger: 'installs', because: 'the way down from a denied image is open' },
    async play(scene, attacked) {
      const older = await onNewer(scene, (older) => [way(older)]);
      const denied = await scene.running();
      if (attacked && denied !== undefined) change(scene, (policy) => policy.denied.digests.push(denied));
      scene.want(older);
    },
  },
  {
    name: 'a denied signer',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'DENIED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) change(scene, ({ denied }) => denied.signers.push(scene.service.builder.hint));
    },
  },
  {
    name: 'a directive whose length is not the signed one',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'TARGET_MISMATCH' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(attacked ? { ...target, length: target.length + 1 } : target);
    },
  },
  {
    name: 'a directive whose version is not the signed one',
    compromised: DIRECTOR,
    expected: { charger: 'stays', code: 'TARGET_MISMATCH' },
    async play(scene, attacked) {
      const target = await scene.publish();
      const custom = { ...target.custom, version: '9.9.9' };
      scene.want(attacked ? { ...target, custom } : target);
    },
  },
  {
    name: 'a bundle that the target does not list, in the place of the one that it lists',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'BUNDLE_MISSING' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      const [listed] = target.custom.bundles;
      const other = keyBundle(scene.service.builder, statement(release({}, randomBytes(10))));
      if (attacked && listed) scene.service.put(listed.path, listed.sha256, other);
    },
  },
  {
    name: 'a target of a path outside the product',
    compromised: 'release engineers at threshold, director',
    expected: { charger: 'stays', code: 'TARGET_UNKNOWN' },
    async play(scene, attacked) {
      const image = randomBytes(1000);
      const target = await scene.publish({}, { image });
      scene.want(target);
      if (!attacked) return;
      const foreign = { ...target, path: `acme.ac22/${target.path.split('/')[1]}` };
      scene.list(withBundles(foreign, []));
      scene.service.put(foreign.path, foreign.sha256, image);
      scene.want(foreign);
    },
  },
];
