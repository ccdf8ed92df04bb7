/** TUF: what somebody on the line, or with some of the keys, does to metadata. TUF 1.0.34, 1.5.2 */
import { testKey } from '../../client-sdk/trust/testing/keys.ts';
import { PRODUCT, signed } from '../../client-sdk/trust/testing/repository.ts';
import type { Attack } from './attack.ts';
import type { Scene } from './scene.ts';

const DAY = 24 * 60 * 60 * 1000;
const LINE = 'the line';

/** The charger has seen and committed one release; another is there and wanted. */
async function grown(scene: Scene): Promise<void> {
  await scene.update({ version: '1.1.0' });
  scene.want(await scene.publish({ version: '1.2.0' }));
}

const copyOf = (scene: Scene): Map<string, Buffer> => new Map(scene.service.repository.files);

/** From now on the service shows what it showed then. */
function replay(scene: Scene, then: Map<string, Buffer>, only?: (path: string) => boolean): void {
  const { files } = scene.service.repository;
  for (const [path, bytes] of then) if (only?.(path) ?? true) files.set(path, bytes);
}

function parsed(scene: Scene, path: string): { signed: Record<string, unknown>; signatures: unknown[] } {
  return JSON.parse(scene.service.repository.file(path).toString()) as ReturnType<typeof parsed>;
}

export const METADATA: Attack[] = [
  {
    name: 'arbitrary software: a role signed by a stranger',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      const stranger = [testKey(), testKey()];
      if (attacked) scene.service.repository.publishProduct(stranger);
    },
  },
  {
    name: 'rollback: an older timestamp',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_ROLLBACK' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const then = copyOf(scene);
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.charging = true;
      await scene.settle(2);
      scene.charging = false;
      if (attacked) replay(scene, then, (path) => path.endsWith('timestamp.json'));
    },
  },
  {
    name: 'rollback: an older snapshot under a new timestamp',
    compromised: 'timestamp key',
    expected: { charger: 'stays', code: 'METADATA_ROLLBACK' },
    async play(scene, attacked) {
      await grown(scene);
      scene.charging = true;
      await scene.settle(2);
      scene.charging = false;
      if (!attacked) return;
      const { repository } = scene.service;
      repository.versions.timestamp += 2;
      repository.versions.snapshot -= 1;
      repository.publishTimestamp();
    },
  },
  {
    name: 'rollback: an older product role under new snapshot and timestamp',
    compromised: 'snapshot and timestamp keys',
    expected: { charger: 'stays', code: 'METADATA_ROLLBACK' },
    async play(scene, attacked) {
      await grown(scene);
      scene.charging = true;
      await scene.settle(2);
      scene.charging = false;
      const { repository } = scene.service;
      if (attacked) repository.versions.product -= 1;
      repository.versions.snapshot += 1;
      repository.versions.timestamp += 1;
      repository.publishSnapshot();
      repository.publishTimestamp();
    },
  },
  {
    name: 'rollback: the same after the cache was torn',
    compromised: 'snapshot and timestamp keys, and the cache',
    expected: { charger: 'stays', code: 'METADATA_ROLLBACK' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const then = copyOf(scene);
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.charging = true;
      await scene.settle(2);
      scene.charging = false;
      scene.restart();
      for (const file of ['timestamp', 'snapshot', PRODUCT]) {
        await scene.files.write(`tuf/${file}.json`, Buffer.from('{"signed":{"_ty'));
      }
      if (attacked) replay(scene, then);
    },
  },
  {
    name: 'rollback: newer roots withheld',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_ROLLBACK' },
    async play(scene, attacked) {
      const { repository } = scene.service;
      repository.versions.root = 2;
      repository.publishRoot();
      await scene.update({ version: '1.1.0' });
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.restart();
      await scene.files.remove('tuf/2.root.json');
      if (!attacked) return;
      repository.files.delete('metadata/2.root.json');
      repository.versions.root = 1;
    },
  },
  {
    name: 'freeze: the same answers past the expiry of the timestamp',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_EXPIRED' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.tick(2 * DAY);
      if (attacked) return;
      repository.expires.timestamp += 2;
      repository.bump();
    },
  },
  {
    name: 'freeze: with fresh timestamps, past the expiry of the product role',
    compromised: 'snapshot and timestamp keys',
    expected: {
      charger: 'stays',
      code: 'METADATA_EXPIRED',
      because: 'a freeze lasts until the offline roles expire',
    },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.tick(91 * DAY);
      Object.assign(repository.expires, { snapshot: 98, timestamp: 92, root: 180, targets: 180 });
      if (!attacked) repository.expires.product = 180;
      repository.versions.root = 2;
      repository.publishRoot();
      repository.bump('targets', 'product');
    },
  },
  {
    name: 'fast-forward: versions at their end, and recovery by new keys',
    compromised: 'snapshot and timestamp keys',
    expected: {
      charger: 'installs',
      code: 'METADATA_ROLLBACK',
      because: 'marks fall with the keys that made them',
    },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      const before = { ...repository.versions };
      if (attacked) {
        Object.assign(repository.versions, {
          snapshot: Number.MAX_SAFE_INTEGER,
          timestamp: Number.MAX_SAFE_INTEGER,
        });
        repository.publishBelowRoot();
        await scene.pass();
        await scene.mark();
        Object.assign(repository.versions, before);
      }
      scene.want(await scene.publish({ version: '1.2.0' }));
      if (attacked) await scene.settle();
      // Root rotates the stolen keys away.
      repository.keys.snapshot = [testKey()];
      repository.keys.timestamp = [testKey()];
      repository.versions.root = 2;
      repository.publishRoot();
      repository.bump();
      if (scene.service.wanted) scene.want(scene.service.wanted.target);
    },
  },
  {
    name: 'fast-forward of one product role, and recovery by new keys',
    compromised: 'product keys at threshold',
    expected: { charger: 'installs', code: 'METADATA_ROLLBACK', because: 'marks fall with their keys' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      if (attacked) {
        const before = repository.versions.product;
        repository.versions.product = Number.MAX_SAFE_INTEGER;
        repository.versions.snapshot += 1;
        repository.versions.timestamp += 1;
        repository.publishBelowRoot();
        await scene.pass();
        await scene.mark();
        repository.versions.product = before;
        // The service cannot undo it by itself.
        scene.want(await scene.publish({ version: '1.2.0' }));
        await scene.settle();
      }
      repository.keys.product = [testKey(), testKey()];
      // Snapshot keys too: the snapshot has listed the high version. TUF 6.1
      repository.keys.snapshot = [testKey()];
      repository.keys.timestamp = [testKey()];
      repository.versions.root = 2;
      repository.publishRoot();
      repository.bump('targets');
      scene.want(await scene.publish({ version: '1.2.0' }));
    },
  },
  {
    name: 'mix and match: an old snapshot beside new targets',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_MISMATCH' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      const old = repository.file(`metadata/${repository.versions.snapshot}.snapshot.json`);
      scene.want(await scene.publish({ version: '1.2.0' }));
      if (attacked) repository.files.set(`metadata/${repository.versions.snapshot}.snapshot.json`, old);
    },
  },
  {
    name: 'mix and match: an old product role under the new name',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_MISMATCH' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      const old = repository.file(`metadata/${repository.versions.product}.${PRODUCT}.json`);
      scene.want(await scene.publish({ version: '1.2.0' }));
      if (attacked) repository.files.set(`metadata/${repository.versions.product}.${PRODUCT}.json`, old);
    },
  },
  {
    name: 'mix and match: an old targets role under the new name',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_MISMATCH' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      const old = repository.file(`metadata/${repository.versions.targets}.targets.json`);
      scene.want(await scene.publish({ version: '1.2.0' }));
      repository.bump('targets');
      if (attacked) repository.files.set(`metadata/${repository.versions.targets}.targets.json`, old);
    },
  },
  {
    name: 'a policy with other bytes than targets say',
    compromised: LINE,
    expected: { charger: 'stays', code: 'METADATA_MISMATCH' },
    async play(scene, attacked) {
      const { repository } = scene.service;
      scene.want(await scene.publish());
      if (!attacked) return;
      for (const [path, bytes] of repository.files) {
        if (!path.endsWith('.policy.json')) continue;
        const changed = bytes.toString().replace('"securityVersionCap":10', '"securityVersionCap":99');
        repository.files.set(path, Buffer.from(changed));
      }
    },
  },
  {
    name: 'same version, other bytes: a second snapshot',
    compromised: 'snapshot key',
    expected: { charger: 'stays', code: 'METADATA_MISMATCH' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      scene.want(await scene.publish({ version: '1.2.0' }));
      if (!attacked) return;
      repository.otherRoles['acme.other.json'] = { version: 7 };
      repository.publishSnapshot();
    },
  },
  {
    name: 'same version, other bytes: a second timestamp counts for nothing',
    compromised: 'timestamp and snapshot keys',
    expected: {
      charger: 'stays',
      code: 'TARGET_UNKNOWN',
      because: 'at an equal version the earlier one stays in force',
    },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      if (!attacked) {
        scene.want(await scene.publish({ version: '1.2.0' }));
        return;
      }
      const { timestamp } = repository.versions;
      const target = await scene.publish({ version: '1.2.0' });
      repository.versions.timestamp = timestamp;
      repository.publishTimestamp();
      scene.want(target);
    },
  },
  {
    name: 'one key under two ids',
    compromised: 'one product key of two',
    expected: { charger: 'stays', code: 'METADATA_MALFORMED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (!attacked) return;
      const { repository } = scene.service;
      const [mine] = repository.keys.product;
      if (mine === undefined) return;
      const alias = 'f'.repeat(64);
      repository.tamper.targets = ({ delegations }) => {
        if (delegations === undefined) return;
        delegations.keys = { [mine.id]: mine.tuf, [alias]: mine.tuf };
        for (const role of delegations.roles) role.keyids = [mine.id, alias];
      };
      repository.bump('targets', 'product');
      const path = `metadata/${repository.versions.product}.${PRODUCT}.json`;
      const body = parsed(scene, path).signed;
      repository.files.set(path, signed(body, [mine, { ...mine, id: alias }]));
    },
  },
  {
    name: 'one key under two ids that are its hashes (an unknown member more)',
    compromised: 'one product key of two',
    expected: { charger: 'stays', code: 'METADATA_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (!attacked) return;
      const { keyIdOf } = await import('@tidegate/client-sdk/trust');
      const { repository } = scene.service;
      const [mine] = repository.keys.product;
      if (mine === undefined) return;
      const other = { ...mine.tuf, 'x-note': 'another' };
      const alias = keyIdOf(other);
      repository.tamper.targets = ({ delegations }) => {
        if (delegations === undefined) return;
        delegations.keys = { [mine.id]: mine.tuf, [alias]: other };
        for (const role of delegations.roles) role.keyids = [mine.id, alias];
      };
      repository.bump('targets', 'product');
      const path = `metadata/${repository.versions.product}.${PRODUCT}.json`;
      repository.files.set(path, signed(parsed(scene, path).signed, [mine, { ...mine, id: alias }]));
    },
  },
  {
    name: 'a role signed twice by one key',
    compromised: 'one product key of two',
    expected: { charger: 'stays', code: 'METADATA_MALFORMED' },
    async play(scene, attacked) {
      const { repository } = scene.service;
      scene.want(await scene.publish());
      const [mine] = repository.keys.product;
      if (attacked && mine) repository.publishProduct([mine, mine]);
    },
  },
  {
    name: "trust/policy.json in a product's role",
    compromised: 'product keys at threshold',
    expected: { charger: 'stays', code: 'BUILDER_UNKNOWN' },
    async play(scene, attacked) {
      // The thieves build with a key of theirs, and list a policy that names it.
      const thief = testKey('p256');
      scene.want(await scene.publish({}, attacked ? { builder: thief } : {}));
      if (!attacked) return;
      const forged = structuredClone(scene.service.policy);
      forged.products[PRODUCT]?.builders.push({
        kind: 'key',
        keyId: thief.hint,
        publicKey: thief.pem,
        state: 'active',
      });
      const bytes = Buffer.from(JSON.stringify(forged));
      const { createHash } = await import('node:crypto');
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      scene.service.put('trust/policy.json', sha256, bytes);
      scene.service.repository.productTargets['trust/policy.json'] = {
        length: bytes.length,
        hashes: { sha256 },
      };
      scene.service.repository.bump('product');
    },
  },
  {
    name: "a foreign product's role lists our path",
    compromised: "another product's keys at threshold, director",
    expected: { charger: 'stays', code: 'TARGET_UNKNOWN' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(target);
      if (!attacked) return;
      const { repository } = scene.service;
      const theirs = testKey();
      repository.tamper.targets = ({ delegations }) => {
        if (delegations === undefined) return;
        delegations.keys = { ...delegations.keys, [theirs.id]: theirs.tuf };
        delegations.roles.unshift({
          name: 'acme.evil',
          keyids: [theirs.id],
          threshold: 1,
          paths: ['acme.evil/*', `${PRODUCT}/*`],
          terminating: true,
        });
      };
      repository.otherRoles['acme.evil.json'] = { version: 1 };
      const body = {
        _type: 'targets',
        spec_version: '1.0.34',
        version: 1,
        expires: '2027-01-01T00:00:00Z',
        targets: { [target.path]: repository.productTargets[target.path] },
      };
      repository.files.set('metadata/1.acme.evil.json', signed(body, [theirs]));
      repository.productTargets = {};
      repository.bump('targets', 'product');
    },
  },
  ...(
    [
      ['a second role of our name', (role: Delegated) => [role, { ...role }]],
      ['a product role over other paths', (role: Delegated) => [{ ...role, paths: ['*'] }]],
      ['a product role that does not end the search', (role: Delegated) => [{ ...role, terminating: false }]],
      ['a role name with a slash', (role: Delegated) => [{ ...role, name: `${role.name}/x` }]],
      ['a role name of a prototype', (role: Delegated) => [{ ...role, name: 'constructor' }]],
    ] as const
  ).map(([name, change]): Attack => ({
    name: `delegation: ${name}`,
    compromised: 'a mistake of targets',
    expected: { charger: 'stays', code: 'DELEGATION_INVALID' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (!attacked) return;
      const { repository } = scene.service;
      repository.tamper.targets = (raw) => {
        const [role] = raw.delegations?.roles ?? [];
        if (role && raw.delegations) raw.delegations.roles = change(role);
      };
      repository.bump('targets', 'product');
    },
  })),
  {
    name: 'a product role that delegates further',
    compromised: 'product keys at threshold',
    expected: { charger: 'stays', code: 'DELEGATION_INVALID' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (!attacked) return;
      const { repository } = scene.service;
      const theirs = testKey();
      repository.tamper.product = (raw) => {
        raw.delegations = {
          keys: { [theirs.id]: theirs.tuf },
          roles: [
            { name: 'x', keyids: [theirs.id], threshold: 1, paths: [`${PRODUCT}/*`], terminating: true },
          ],
        };
      };
      repository.bump('product');
    },
  },
  ...(['__proto__', 'constructor', 'toString'] as const).map((name): Attack => ({
    name: `a directive that names ${name}`,
    compromised: 'director',
    expected: { charger: 'stays', code: 'DIRECTIVE_MALFORMED' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(attacked ? { ...target, path: name } : target);
    },
  })),
  {
    name: "targets of prototypes' names in the product role",
    compromised: 'product keys at threshold',
    expected: { charger: 'stays', code: 'METADATA_MALFORMED' },
    async play(scene, attacked) {
      const target = await scene.publish();
      scene.want(attacked ? { ...target, path: `${PRODUCT}/constructor` } : target);
      if (!attacked) return;
      const { repository } = scene.service;
      const listed = repository.productTargets[target.path];
      repository.tamper.product = (raw) => {
        raw.targets = JSON.parse(`{"__proto__": ${JSON.stringify(listed)}}`) as typeof raw.targets;
      };
      repository.bump('product');
    },
  },
  {
    name: 'consistent snapshots switched off',
    compromised: 'a mistake of root',
    expected: { charger: 'stays', code: 'METADATA_MALFORMED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      const { repository } = scene.service;
      repository.versions.root = 2;
      repository.publishRoot();
      if (!attacked) return;
      const body = { ...parsed(scene, 'metadata/2.root.json').signed, consistent_snapshot: false };
      repository.files.set('metadata/2.root.json', signed(body, repository.keys.root));
    },
  },
  {
    name: 'a root that skips a version',
    compromised: LINE,
    expected: { charger: 'stays', code: 'ROOT_VERSION' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      const { repository } = scene.service;
      repository.versions.root = 2;
      repository.publishRoot();
      if (!attacked) return;
      repository.versions.root = 3;
      repository.files.set('metadata/2.root.json', repository.publishRoot());
    },
  },
];

interface Delegated {
  name: string;
  keyids: string[];
  threshold: number;
  paths: string[];
  terminating: boolean;
}
