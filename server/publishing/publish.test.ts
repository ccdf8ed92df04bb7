import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Refusal } from '@tidegate/client-sdk/protocol';
import { TrustedSet } from '@tidegate/client-sdk/trust';
import {
  addSignature,
  bump,
  type BlobStore,
  delegateProduct,
  newProductRole,
  topLevelRole,
} from '@tidegate/signer/repository';
import { generateKey } from '@tidegate/signer/keys';
import { testDatabase } from '../../test/support/postgres.ts';
import { verifyAudit } from '../audit/index.ts';
import { collect } from './current.ts';
import { Desk, digest, PRODUCT, START, text } from './desk.fixture.ts';
import { publish, receiveUpload, refreshOnline, sweepStaging } from './index.ts';

const DAY = 24 * 60 * 60 * 1000;
let desk: Desk;

beforeEach(async () => {
  const { db } = await testDatabase();
  desk = await Desk.open(db);
  await desk.bootstrap();
});
afterEach(() => desk.close());

/** Refused with this code, and everything is as before, the staged files gone too. */
async function refused(code: string, attempt: () => Promise<unknown>): Promise<void> {
  const before = await desk.state();
  await expect(attempt()).rejects.toMatchObject({ code });
  expect(await desk.state()).toEqual(before);
}

/** Walks the store as a charger does: from the provisioned root, by names alone. */
async function walk(blobs: BlobStore = desk.deps.blobs): Promise<TrustedSet> {
  const read = async (key: string) => {
    const blob = await blobs.get(key);
    return blob === undefined ? undefined : collect(blob.body, key);
  };
  const must = async (key: string) => {
    const bytes = await read(key);
    if (bytes === undefined) throw new Error(`missing ${key}`);
    return bytes;
  };
  const set = TrustedSet.start(Buffer.from(text(desk.root)));
  const now = desk.clock.time;
  set.updateTimestamp(await must('metadata/timestamp.json'), now);
  set.updateSnapshot(await must(`metadata/${set.timestamp.snapshot.version}.snapshot.json`), now);
  for (const [file, { version }] of set.snapshot.meta) {
    const name = file.replace(/\.json$/, '');
    const bytes = await must(`metadata/${version}.${file}`);
    if (name === 'targets') set.updateTargets(bytes, now);
  }
  const role = set.snapshot.meta.get(`${PRODUCT}.json`);
  set.updateProductRole(PRODUCT, await must(`metadata/${role?.version}.${PRODUCT}.json`), now);
  for (const [path, { sha256 }] of set.productRole(PRODUCT).targets) {
    const image = await must(`targets/${path.replace('/', `/${sha256}.`)}`);
    expect(digest(image)).toBe(sha256);
  }
  return set;
}

test('a release is published whole, and a charger can walk to it', async () => {
  const built = await desk.buildRelease('1.0.0');
  const published = await desk.release(built);
  expect(published).toMatchObject({ changed: true, versions: { roles: { [PRODUCT]: 2 } } });
  const set = await walk();
  expect(set.productTarget(PRODUCT, built.target.path)).toEqual(built.target);
  const { db } = desk.deps;
  expect(await db.selectFrom('releases').select(['version', 'published_by']).execute()).toEqual([
    { version: '1.0.0', published_by: 'erin' },
  ]);
  expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true, head: { position: 2 } });
  expect(await desk.state()).toMatchObject({ staging: [] });
});

test('publishing the same twice changes nothing', async () => {
  const built = await desk.buildRelease('1.0.0');
  const first = await desk.release(built);
  const before = await desk.state();
  await desk.upload(built.image, built.bundle);
  const again = await desk.send({ products: { [PRODUCT]: text(desk.role()) } });
  expect(again).toMatchObject({ changed: false, versions: first.versions });
  expect(await desk.state()).toEqual(before);
});

describe('a publication is refused, and nothing changes', () => {
  test('signed by one of two', () =>
    refused('METADATA_UNSIGNED', async () => {
      const built = await desk.buildRelease('1.0.0');
      await desk.upload(built.image, built.bundle);
      return desk.publishRole(await desk.listReleases([built], 1));
    }));

  test('attested by an unknown builder', () =>
    refused('BUILDER_UNKNOWN', async () =>
      desk.release(await desk.buildRelease('1.0.0', { by: generateKey('ecdsa-sha2-nistp256') })),
    ));

  test('custom disagrees with the attested statement', () =>
    refused('STATEMENT_MISMATCH', async () =>
      desk.release(await desk.buildRelease('1.0.0', { attested: { securityVersion: 2 } })),
    ));

  test('attested for another image', () =>
    refused('BUNDLE_INVALID', async () => {
      const [one, other] = [await desk.buildRelease('1.0.0'), await desk.buildRelease('1.0.1')];
      const target = {
        ...one.target,
        custom: { ...one.target.custom, bundles: other.target.custom.bundles },
      };
      return desk.release({ ...one, bundle: other.bundle, target });
    }));

  test('for an unknown product', () =>
    refused('PRODUCT_UNKNOWN', async () => {
      const role = await desk.signRole(newProductRole(desk.clock.time));
      return desk.send({ products: { 'acme.ac22': text(role) } });
    }));

  test('image not uploaded', () =>
    refused('UPLOAD_MISSING', async () => {
      const built = await desk.buildRelease('1.0.0');
      await desk.upload(built.bundle);
      return desk.publishRole(await desk.listReleases([built]));
    }));

  test('image longer than listed', () =>
    refused('UPLOAD_MISMATCH', async () => {
      const built = await desk.buildRelease('1.0.0');
      await desk.upload(built.image, built.bundle);
      const target = { ...built.target, length: built.target.length + 1 };
      return desk.publishRole(await desk.listReleases([{ ...built, target }]));
    }));

  test('a version that is not the next', () =>
    refused('ROLE_VERSION', async () => {
      const role = bump(desk.role(), 'product', desk.clock.time, 7);
      return desk.publishRole(await desk.signRole(role));
    }));

  test('a role that would live for longer than 90 days', () =>
    refused('LIFETIME_TOO_LONG', async () => {
      const role = bump(desk.role(), 'product', desk.clock.time + 30 * DAY);
      return desk.publishRole(await desk.signRole(role));
    }));

  test('expired', () =>
    refused('METADATA_EXPIRED', async () => {
      const role = await desk.listReleases([]);
      desk.clock.time += 91 * DAY;
      return desk.publishRole(role);
    }));

  test('not JSON', () =>
    refused('METADATA_MALFORMED', () => desk.send({ products: { [PRODUCT]: '{"signed":' } })));

  test('a policy that the targets do not list', () =>
    refused('METADATA_REFUSED', () => desk.send({ policy: JSON.stringify({ ...desk.policy, version: 2 }) })));

  test('a delegation whose role is missing', () =>
    refused('METADATA_REFUSED', async () => {
      desk.targets = delegateProduct(desk.targets, 'acme.ac22', { keys: desk.people.product, threshold: 2 });
      return desk.send(await desk.signTrust(desk.policy));
    }));

  test('a target that says it is another product, whatever its engineers signed', () =>
    refused('TARGET_INCONSISTENT', async () => {
      const built = await desk.buildRelease('1.0.0');
      await desk.upload(built.image, built.bundle);
      const role = await desk.listReleases([built]);
      const { path, sha256, length, custom } = built.target;
      const bundles = custom.bundles.map((file) => ({ ...file, path: 'acme.x/b.sigstore.json' }));
      const other = { ...custom, product: 'acme.x', bundles };
      const targets = { [path]: { length, hashes: { sha256 }, custom: other } };
      await desk.publishRole(await desk.signRole({ ...role, signed: { ...role.signed, targets } }));
    }));

  test('a fallback that is not listed', () =>
    refused('FALLBACK_UNKNOWN', async () => {
      const built = await desk.buildRelease('1.0.0');
      await desk.upload(built.image, built.bundle);
      const role = await desk.listReleases([built]);
      const listed = role.signed.targets[built.target.path];
      const nowhere = {
        path: `${PRODUCT}/gone.img`,
        sha256: digest('gone'),
        expires: '2027-01-01T00:00:00Z',
        auto: false,
      };
      listed?.custom?.fallback.push(nowhere);
      return desk.publishRole(await desk.signRole(role));
    }));
});

describe('what is published stays what it is', () => {
  test('the version has other bytes', async () => {
    await desk.release(await desk.buildRelease('1.0.0'));
    await refused('VERSION_EXISTS', async () => {
      const other = await desk.buildRelease('1.0.0');
      await desk.upload(other.image, other.bundle);
      const role = bump(desk.role(), 'product', desk.clock.time);
      const { sha256, length, custom } = other.target;
      role.signed.targets[other.target.path] = { length, hashes: { sha256 }, custom };
      return desk.publishRole(await desk.signRole(role));
    });
  });

  test('the version appears under another path', async () => {
    await desk.release(await desk.buildRelease('1.0.0'));
    await refused('VERSION_EXISTS', async () => {
      const other = await desk.buildRelease('1.0.0');
      await desk.upload(other.image, other.bundle);
      const role = bump(desk.role(), 'product', desk.clock.time);
      const { sha256, length, custom } = other.target;
      role.signed.targets[`${PRODUCT}/other.img`] = { length, hashes: { sha256 }, custom };
      return desk.publishRole(await desk.signRole(role));
    });
  });

  test('another attestation of the same bytes is taken', async () => {
    const built = await desk.buildRelease('1.0.0');
    await desk.release(built);
    const noted = { ...built.target, custom: { ...built.target.custom, notes: 'better words' } };
    await desk.publishRole(await desk.listReleases([{ ...built, target: noted }]));
    const row = await desk.deps.db.selectFrom('releases').select('custom').executeTakeFirstOrThrow();
    expect(row.custom.notes).toBe('better words');
  });
});

describe('nobody is stranded unnamed', () => {
  /** 1.0.0 is the live fallback of 2.0.0, which one charger runs. */
  async function fleetOnTwo(): Promise<{ one: string; two: string; digestOfTwo: string }> {
    const one = await desk.buildRelease('1.0.0');
    await desk.release(one);
    const way = {
      path: one.target.path,
      sha256: one.target.sha256,
      expires: '2026-12-22T00:00:00Z',
      auto: true,
    };
    const two = await desk.buildRelease('2.0.0', { custom: { fallback: [way] } });
    await desk.release(two);
    await addCharger(two.target.sha256);
    return { one: one.target.path, two: two.target.path, digestOfTwo: two.target.sha256 };
  }

  async function addCharger(running: string): Promise<void> {
    const { db } = desk.deps;
    const at = new Date(START);
    const site = { organisation: 'acme', id: 's', name: 's', type: 'depot', region: 'de' };
    await db
      .insertInto('sites')
      .values({ ...site, time_zone: 'Europe/Berlin', created_at: at })
      .execute();
    const charger = { organisation: 'acme', serial: 'A1', product: PRODUCT, hardware: 'dc150-r2', site: 's' };
    await db
      .insertInto('chargers')
      .values({ ...charger, state: 'ACTIVE', stratum: 'x', cohort_key: 1, running_sha256: running })
      .execute();
  }

  async function without(...paths: string[]): Promise<Parameters<Desk['publishRole']>[0]> {
    const role = bump(desk.role(), 'product', desk.clock.time);
    const kept = Object.entries(role.signed.targets).filter(([path]) => !paths.includes(path));
    return desk.signRole({ ...role, signed: { ...role.signed, targets: Object.fromEntries(kept) } });
  }

  test('a running image may be yanked as long as its chargers have somewhere to go, and not longer', async () => {
    const { one, two } = await fleetOnTwo();
    await refused('WOULD_STRAND', async () => desk.publishRole(await without(one, two)));
    const published = await desk.publishRole(await without(two));
    expect(published.yanked).toEqual([two]);
    await refused('WOULD_STRAND', async () => desk.publishRole(await without(one)));
  });

  test('nor does a live fallback; an expired one may', async () => {
    const { one } = await fleetOnTwo();
    await refused('WOULD_STRAND', async () => desk.publishRole(await without(one)));
    desk.clock.time = Date.parse('2026-12-23T00:00:00Z');
    const published = await desk.publishRole(await without(one));
    expect(published.yanked).toEqual([one]);
  });

  test('a policy is judged by it too', async () => {
    const { one, two } = await fleetOnTwo();
    const policy = structuredClone({ ...desk.policy, version: 2 });
    for (const builder of policy.products[PRODUCT]?.builders ?? []) builder.state = 'compromised';
    const trust = await desk.signTrust(policy);
    await refused('WOULD_STRAND', () => desk.send(trust));
    await expect(desk.send(trust)).rejects.toMatchObject({
      problems: [{ code: 'NO_WAY_ON' }],
      members: {
        stranded: {
          total: 1,
          chargers: [{ runs: { path: two }, because: 'BUILDER_REVOKED', fallbacks: [one], serials: ['A1'] }],
        },
      },
    });
    await expect(desk.send({ ...trust, strand: [one] })).rejects.toMatchObject({ code: 'WOULD_STRAND' });
    await expect(desk.send({ ...trust, strand: [two] })).resolves.toMatchObject({ changed: true });
  });
});

describe('interrupted', () => {
  test('after any write, the old repository is served and a repetition finishes', async () => {
    const first = await desk.buildRelease('1.0.0');
    await desk.release(first);
    const built = await desk.buildRelease('1.1.0');
    const role = await desk.listReleases([built]);
    const old = await walk();
    let writes = 0;
    for (let failAt = 0; ; failAt++) {
      await desk.upload(built.image, built.bundle);
      writes = 0;
      const failing: BlobStore = {
        ...desk.deps.blobs,
        put: (...args) => {
          if (writes++ === failAt) return Promise.reject(new Error('power cut'));
          return desk.deps.blobs.put(...args);
        },
      };
      const whole = { roots: [], targets: null, policy: null, sigstoreRoot: null, strand: [] };
      const publication = { ...whole, products: { [PRODUCT]: text(role) } };
      const by = { name: 'erin', reason: 'r', source: 's' };
      const outcome = await publish({ ...desk.deps, blobs: failing }, publication, by).catch(
        (error: unknown) => error,
      );
      // A reader at this moment finds the old repository or the new one, each complete.
      const seen = await walk();
      if (!(outcome instanceof Error)) break;
      expect(outcome.message).toBe('power cut');
      expect([old.timestamp.version, old.timestamp.version + 1]).toContain(seen.timestamp.version);
    }
    expect(writes).toBeGreaterThan(0);
    expect((await walk()).productRole(PRODUCT).targets.size).toBe(2);
    expect(await desk.state()).toMatchObject({ staging: [] });
  });

  test('between the commit and timestamp.json, the next refresh finishes', async () => {
    const built = await desk.buildRelease('1.0.0');
    await desk.upload(built.image, built.bundle);
    const role = await desk.listReleases([built]);
    const failing: BlobStore = {
      ...desk.deps.blobs,
      put: (key, ...rest) =>
        key === 'metadata/timestamp.json'
          ? Promise.reject(new Error('power cut'))
          : desk.deps.blobs.put(key, ...rest),
    };
    const whole = { roots: [], targets: null, policy: null, sigstoreRoot: null, strand: [] };
    const by = { name: 'erin', reason: 'r', source: 's' };
    const cut = publish(
      { ...desk.deps, blobs: failing },
      { ...whole, products: { [PRODUCT]: text(role) } },
      by,
    );
    await expect(cut).rejects.toThrow('power cut');
    expect((await walk()).productRole(PRODUCT).targets.size).toBe(0);
    await refreshOnline(desk.deps);
    expect((await walk()).productRole(PRODUCT).targets.size).toBe(1);
  });

  test('a root that was written is the only one of its version for ever', async () => {
    const failing: BlobStore = {
      ...desk.deps.blobs,
      put: async (key, ...rest) => {
        const stat = await desk.deps.blobs.put(key, ...rest);
        if (key === 'metadata/2.root.json') throw new Error('power cut');
        return stat;
      },
    };
    const whole = { targets: null, policy: null, sigstoreRoot: null, products: {}, strand: [] };
    const by = { name: 'erin', reason: 'r', source: 's' };
    const seen = await desk.nextRoot();
    const cut = publish({ ...desk.deps, blobs: failing }, { ...whole, roots: [seen] }, by);
    await expect(cut).rejects.toThrow('power cut');
    // The same version with another expiry, signed by the same people.
    const other = { ...desk.root, signed: { ...desk.root.signed, expires: '2027-01-01T00:00:00Z' } };
    let signed: typeof other = { ...other, signatures: [] };
    for (const key of desk.people.root.slice(0, 2)) {
      signed = await addSignature(signed, topLevelRole(desk.root, 'root'), key);
    }
    await refused('ROLE_VERSION', () => desk.send({ roots: [text(signed)] }));
    await expect(desk.send({ roots: [seen] })).resolves.toMatchObject({ versions: { root: 2 } });
  });
});

describe('the online roles', () => {
  test('are signed again from half their life on, each with its own', async () => {
    const before = await walk();
    expect(await refreshOnline(desk.deps)).toBe(false);
    desk.clock.time += DAY / 2;
    expect(await refreshOnline(desk.deps)).toBe(true);
    const half = await walk();
    expect(half.snapshot.version).toBe(before.snapshot.version);
    expect(half.timestamp.version).toBe(Math.floor(desk.clock.time / 1000));
    desk.clock.time += 3.5 * DAY;
    expect(await refreshOnline(desk.deps)).toBe(true);
    expect((await walk()).snapshot.version).toBeGreaterThan(before.snapshot.version);
  });

  test('an unchanged role that has expired does not keep others from being published', async () => {
    desk.clock.time += 80 * DAY;
    await desk.send({
      roots: [await desk.nextRoot()],
      ...(await desk.signTrust({ ...desk.policy, version: 2 })),
    });
    desk.clock.time += 20 * DAY;
    await expect(desk.send(await desk.signTrust({ ...desk.policy, version: 3 }))).resolves.toMatchObject({
      changed: true,
    });
  });
});

describe('an upload', () => {
  const body = Buffer.from('firmware');
  const staging = async () => ((await desk.state()) as { staging: string[] }).staging;

  test.each([
    ['truncated', body.length + 1, digest(body), 'BODY_TRUNCATED'],
    ['with other bytes', body.length, digest('other'), 'UPLOAD_MISMATCH'],
    ['longer than announced', body.length - 1, digest(body), 'BODY_TOO_LARGE'],
    ['too long', 5 * 1024 ** 3, digest(body), 'BODY_TOO_LARGE'],
  ])('%s is refused and leaves nothing', async (_name, length, sha256, code) => {
    const upload = { sha256, length, body: Readable.from([body]) };
    await expect(receiveUpload(desk.deps, upload)).rejects.toMatchObject({ code });
    expect(await staging()).toEqual([]);
  });

  test('that nobody publishes is swept in time', async () => {
    expect(await sweepStaging(desk.deps)).toBe(0);
    await receiveUpload(desk.deps, {
      sha256: digest(body),
      length: body.length,
      body: Readable.from([body]),
    });
    expect(await sweepStaging(desk.deps)).toBe(body.length);
    expect(await sweepStaging({ ...desk.deps, limits: { age: -1 } })).toBe(0);
    expect(await staging()).toEqual([]);
  });

  test('is refused when too much waits already', async () => {
    const deps = { ...desk.deps, limits: { staging: 10 } };
    await receiveUpload(deps, { sha256: digest(body), length: body.length, body: Readable.from([body]) });
    const more = { sha256: digest('firmware2'), length: 9, body: Readable.from(['firmware2']) };
    await expect(receiveUpload(deps, more)).rejects.toMatchObject({ code: 'STAGING_FULL' });
  });
});

test('an upload costs a chunk of memory, however long it is', async () => {
  const size = 192;
  const hash = createHash('sha256');
  const chunk = () => Buffer.alloc(1024 * 1024, 'firmware');
  for (let i = 0; i < size; i++) hash.update(chunk());
  const before = process.memoryUsage().arrayBuffers;
  let peak = 0;
  async function* image() {
    for (let i = 0; i < size; i++) {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
      yield chunk();
      // Lets the garbage of the chunks before be seen as such, as a network does.
      await new Promise(setImmediate);
    }
  }
  const length = size * 1024 * 1024;
  await receiveUpload(desk.deps, { sha256: hash.digest('hex'), length, body: Readable.from(image()) });
  expect(peak - before).toBeLessThan(64 * 1024 * 1024);
});

test('refusals of the charger keep their class', async () => {
  const built = await desk.buildRelease('1.0.0', { by: generateKey('ecdsa-sha2-nistp256') });
  await expect(desk.release(built)).rejects.toBeInstanceOf(Refusal);
});
