/** The table of design §3: whose keys are stolen, and what follows, below each threshold and at it. */
import { randomBytes } from 'node:crypto';
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { testKey, type TestKey } from '../../client-sdk/trust/testing/keys.ts';
import { keyBundle, policy, release, statement } from '../../client-sdk/trust/testing/releases.ts';
import type { Attack } from './attack.ts';
import type { Scene } from './scene.ts';

const DAY = 24 * 60 * 60 * 1000;
const WHOLE = 'director, snapshot, timestamp, TLS, the machine';

/** An image that nobody built or signed, put where chargers fetch, and a directive for it. */
function planted(scene: Scene): ReleaseTarget {
  const image = randomBytes(10_000);
  const target = release({ version: '6.6.6' }, image);
  scene.service.put(target.path, target.sha256, image);
  scene.want(target);
  return target;
}

/** A policy that lets the thief build and direct. */
function thievesPolicy(scene: Scene, thief: TestKey): void {
  scene.service.publishPolicy(policy(thief, scene.service.director, { version: 9 }));
}

export const THEFTS: Attack[] = [
  {
    name: 'root below its threshold: a root with keys of the thief',
    compromised: 'one root key of two',
    expected: { charger: 'stays', code: 'METADATA_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      const { repository } = scene.service;
      const [stolen, second] = repository.keys.root;
      if (stolen === undefined || second === undefined) return;
      if (attacked) {
        const mine = testKey();
        repository.keys.root = [stolen, mine];
        repository.versions.root = 2;
        repository.publishRoot([stolen, mine]);
        return;
      }
      repository.keys.root = [stolen, testKey()];
      repository.versions.root = 2;
      repository.publishRoot([stolen, second, ...repository.keys.root.slice(1)]);
    },
  },
  {
    name: 'root at its threshold: other keys for every role',
    compromised: 'two root keys of two',
    expected: { charger: 'installs', because: 'k root keys say which keys hold the roles' },
    async play(scene, attacked) {
      const { repository } = scene.service;
      if (!attacked) {
        scene.want(await scene.publish());
        return;
      }
      const thief = testKey('p256');
      const owned = [testKey(), testKey()];
      Object.assign(repository.keys, { targets: [...owned, testKey()], product: [testKey(), testKey()] });
      repository.versions.root = 2;
      repository.publishRoot();
      thievesPolicy(scene, thief);
      scene.want(await scene.publish({ version: '6.6.6' }, { builder: thief }));
    },
  },
  {
    name: 'targets below its threshold: a policy that names the thief as builder',
    compromised: 'one targets key of two',
    expected: { charger: 'stays', code: 'METADATA_UNSIGNED' },
    async play(scene, attacked) {
      const thief = testKey('p256');
      const { repository } = scene.service;
      scene.want(await scene.publish({}, attacked ? { builder: thief } : {}));
      if (!attacked) return;
      thievesPolicy(scene, thief);
      repository.publishTargets(repository.keys.targets.slice(2));
    },
  },
  {
    name: 'targets at its threshold: other product keys, another builder',
    compromised: 'two targets keys of two',
    expected: { charger: 'installs', because: 'at k everything' },
    async play(scene, attacked) {
      if (!attacked) {
        scene.want(await scene.publish());
        return;
      }
      const thief = testKey('p256');
      scene.service.repository.keys.product = [testKey(), testKey()];
      thievesPolicy(scene, thief);
      scene.want(await scene.publish({ version: '6.6.6' }, { builder: thief }));
    },
  },
  {
    name: 'product role below its threshold: an image listed by one engineer',
    compromised: 'one release engineer of two',
    expected: { charger: 'stays', code: 'METADATA_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      const { repository } = scene.service;
      if (attacked) repository.publishProduct(repository.keys.product.slice(0, 1));
    },
  },
  {
    name: 'product role at its threshold, without CI: an image that CI never built',
    compromised: 'two release engineers of two',
    expected: { charger: 'stays', code: 'BUNDLE_MISSING' },
    async play(scene, attacked) {
      scene.want(await scene.publish({}, attacked ? { bundles: () => [] } : {}));
    },
  },
  {
    name: 'the same, attested by a key of the thieves',
    compromised: 'two release engineers of two',
    expected: { charger: 'stays', code: 'BUILDER_UNKNOWN' },
    async play(scene, attacked) {
      scene.want(await scene.publish({}, attacked ? { builder: testKey('p256') } : {}));
    },
  },
  {
    name: 'the same, with the attestation of another image',
    compromised: 'two release engineers of two',
    expected: { charger: 'stays', code: 'BUNDLE_INVALID' },
    async play(scene, attacked) {
      const other = keyBundle(scene.service.builder, statement(release({}, randomBytes(100))));
      scene.want(await scene.publish({}, attacked ? { bundles: () => [other] } : {}));
    },
  },
  {
    name: 'product role at its threshold: an image that CI built and nobody released',
    compromised: 'two release engineers of two',
    expected: { charger: 'installs', because: 'what CI attested for this product, no other' },
    async play(scene, attacked) {
      scene.want(await scene.publish({ version: attacked ? '1.9.0-nightly' : '1.2.0' }));
    },
  },
  {
    name: 'CI alone: an attested image that no engineer signed',
    compromised: 'CI and its key, director',
    expected: { charger: 'stays', code: 'TARGET_UNKNOWN' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      if (!attacked) return;
      scene.allowed.delete(target.sha256);
      scene.unlist(target);
    },
  },
  {
    name: 'CI and k release engineers: an image of theirs',
    compromised: 'CI and two release engineers',
    expected: { charger: 'installs', because: 'both that must agree are stolen' },
    async play(scene) {
      scene.want(await scene.publish({ version: '6.6.6' }));
    },
  },
  {
    name: 'snapshot: a snapshot of the thief under no new timestamp',
    compromised: 'snapshot key',
    expected: { charger: 'stays', code: 'METADATA_MISMATCH' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (!attacked) return;
      scene.service.repository.expires.snapshot = 70;
      scene.service.repository.publishSnapshot();
    },
  },
  {
    name: 'timestamp: a timestamp that names a snapshot of a stranger',
    compromised: 'timestamp key',
    expected: { charger: 'stays', code: 'METADATA_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      const { repository } = scene.service;
      if (!attacked) return;
      repository.publishSnapshot([testKey()]);
      repository.publishTimestamp();
    },
  },
  {
    name: 'snapshot and timestamp: new firmware in a role of theirs',
    compromised: 'snapshot and timestamp keys',
    expected: { charger: 'stays', code: 'METADATA_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      const { repository } = scene.service;
      if (!attacked) return;
      repository.publishProduct([...repository.keys.snapshot, ...repository.keys.timestamp]);
    },
  },
  {
    name: 'snapshot and timestamp: an older role to a charger that knows no better',
    compromised: 'snapshot and timestamp keys, director',
    expected: { charger: 'installs', because: 'an older signed release, never new firmware' },
    async play(scene, attacked) {
      const older = await scene.publish({ version: '1.1.0' });
      const { repository } = scene.service;
      const then = repository.versions.product;
      const newer = await scene.publish({ version: '1.2.0' });
      scene.want(attacked ? older : newer);
      if (!attacked) return;
      repository.versions.product = then;
      repository.versions.snapshot += 1;
      repository.versions.timestamp += 1;
      repository.publishSnapshot();
      repository.publishTimestamp();
    },
  },
  {
    name: 'snapshot and timestamp: one answer that never expires, past the expiry of the product role',
    compromised: 'snapshot and timestamp keys, director',
    expected: {
      charger: 'stays',
      code: 'METADATA_EXPIRED',
      because: 'a freeze lasts until the offline roles expire',
    },
    async play(scene, attacked) {
      const { repository } = scene.service;
      Object.assign(repository.expires, { snapshot: 5000, timestamp: 5000, root: 5000, targets: 5000 });
      repository.expires.product = attacked ? 90 : 95;
      repository.versions.root = 2;
      repository.publishRoot();
      const target = await scene.publish();
      repository.bump('targets');
      await scene.pass();
      scene.tick(91 * DAY);
      scene.want(target);
    },
  },
  {
    name: 'director: an image that nobody signed',
    compromised: 'director key',
    expected: { charger: 'stays', code: 'TARGET_UNKNOWN' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) planted(scene);
    },
  },
  {
    name: 'director: an authorised image at the wrong moment',
    compromised: 'director key',
    expected: { charger: 'installs', because: 'approvals bind the service, signatures bind the charger' },
    async play(scene) {
      scene.want(await scene.publish());
    },
  },
  {
    name: 'director: a halted release, which was therefore yanked',
    compromised: 'director key',
    expected: { charger: 'stays', code: 'TARGET_UNKNOWN' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      if (attacked) scene.unlist(target);
    },
  },
  {
    name: 'director: the key of the epoch before',
    compromised: 'an earlier director key',
    expected: { charger: 'stays', code: 'DIRECTIVE_UNSIGNED' },
    async play(scene, attacked) {
      const { service } = scene;
      const stolen = service.director;
      const target = await scene.publish();
      await scene.pass();
      service.director = testKey();
      const renewed = policy(service.builder, service.director, { version: 2 });
      if (renewed.directors['acme']) renewed.directors['acme'].epoch = 2;
      service.publishPolicy(renewed);
      await scene.pass();
      if (attacked) service.director = stolen;
      await scene.mark();
      scene.want(target);
    },
  },
  ...(
    [
      ['an image that nobody signed', 'TARGET_UNKNOWN', async (scene) => void planted(scene)],
      [
        'an image below the floor',
        'BELOW_FLOOR',
        async (scene) => scene.want(await scene.publish({ version: '1.3.0', securityVersion: 2 })),
      ],
      [
        'a downgrade off the fallback list',
        'DOWNGRADE_UNSIGNED',
        async (scene) => scene.want(await scene.publish({ version: '1.1.0' })),
      ],
      [
        'other bytes at the signed path',
        'IMAGE_DIGEST',
        async (scene) => {
          const target = await scene.publish({ version: '1.3.0' });
          scene.service.put(target.path, target.sha256, randomBytes(target.length));
          scene.want(target);
        },
      ],
    ] satisfies [string, NonNullable<Attack['expected']['code']>, (scene: Scene) => Promise<void>][]
  ).map(([what, code, act]): Attack => ({
    name: `the whole service: ${what}`,
    compromised: WHOLE,
    expected: { charger: 'stays', code },
    async play(scene, attacked) {
      await scene.update({ version: '1.2.0', securityVersion: 3 });
      if (attacked) await act(scene);
      else scene.want(await scene.publish({ version: '1.3.0' }));
    },
  })),
  ...(
    [
      ['director: time pushed ahead, step by step; all is well a day later', 'director key', 2],
      ['the whole service: time pushed ahead; all is well once the roles would have expired', WHOLE, 91],
    ] as const
  ).map(([name, compromised, days]): Attack => ({
    name,
    compromised,
    expected: {
      charger: 'installs',
      code: 'METADATA_EXPIRED',
      because: 'the time floor never passes the expiry of what is trusted',
    },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { service } = scene;
      const { repository } = service;
      if (compromised === WHOLE && attacked) {
        Object.assign(repository.expires, { snapshot: 5000, timestamp: 5000 });
        repository.bump();
      }
      const steps = attacked ? 12 : 0;
      for (let step = 1; step <= steps; step++) {
        service.tamper.directive = (directive) => {
          directive.issuedAt = later(directive.issuedAt, step * 89);
          directive.expires = later(directive.expires, step * 89);
        };
        await scene.pass();
      }
      service.tamper = {};
      scene.restart();
      // The theft is found out, and every role is signed anew.
      scene.tick(days * DAY);
      const over = { root: 90, targets: 90, product: 90, snapshot: 7, timestamp: 1 };
      for (const [role, life] of Object.entries(over))
        Object.assign(repository.expires, { [role]: life + days });
      repository.versions.root = 2;
      repository.publishRoot();
      repository.bump('targets');
      scene.want(await scene.publish({ version: '1.2.0' }));
    },
  })),
];

const later = (text: string, days: number): string =>
  new Date(Date.parse(text) + days * DAY).toISOString().replace('.000Z', 'Z');
