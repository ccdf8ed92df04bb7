/** What a product's policy asks of attestations, asked by the service before anything is published, and of everything that is out already. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ProductPolicy, ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { attestProvenance, attestSbom, keySigning, readSbom } from '@tidegate/signer/attest';
import { generateKey, hintOf, type PrivateKey } from '@tidegate/signer/keys';
import { bump, type Metadata, targetKey, type Targets } from '@tidegate/signer/repository';
import { testDatabase } from '../../test/support/postgres.ts';
import { type Built, Desk, digest, PRODUCT, START, text } from './desk.fixture.ts';

const SBOM = readSbom(Buffer.from('{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}'));
let desk: Desk;
const second = generateKey('ecdsa-sha2-nistp256');

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db);
  await desk.bootstrap();
});
afterEach(() => desk.close());

/** Refused with this code, and everything is as before. */
async function refused(code: string, attempt: () => Promise<unknown>): Promise<void> {
  const before = await desk.state();
  await expect(attempt()).rejects.toMatchObject({ code });
  expect(await desk.state()).toEqual(before);
}

const asking = (changes: Partial<ProductPolicy>) => {
  const { builders, ...rest } = desk.policy.products[PRODUCT]!;
  const { publicKey } = second;
  const another = { kind: 'key' as const, keyId: hintOf(publicKey), publicKey, state: 'active' as const };
  const product = { ...rest, builders: [...builders.slice(0, 1), another], ...changes };
  return { ...desk.policy, version: desk.policy.version + 1, products: { [PRODUCT]: product } };
};

async function ask(changes: Partial<ProductPolicy>, strand: string[] = []): Promise<void> {
  const before = { targets: desk.targets, policy: desk.policy };
  try {
    await desk.send({ ...(await desk.signTrust(asking(changes))), strand });
  } catch (error) {
    Object.assign(desk, before);
    throw error;
  }
}

async function sbomOf({ target }: Built, by: PrivateKey = desk.build): Promise<Buffer> {
  const image = { name: target.path, sha256: target.sha256, product: PRODUCT };
  return Buffer.from(await attestSbom(image, SBOM, keySigning(by)));
}

async function provenanceOf({ target }: Built, by: PrivateKey): Promise<Buffer> {
  const { product, version, hardware, securityVersion } = target.custom;
  const bundle = await attestProvenance({
    image: { name: target.path, sha256: target.sha256 },
    parameters: { product, version, hardware, securityVersion },
    builder: 'https://ci.example/second',
    signer: by,
  });
  return Buffer.from(bundle);
}

const sideFile = ({ target }: Built, ending: string, bytes: Buffer) => ({
  path: `${target.path}${ending}`,
  sha256: digest(bytes),
  length: bytes.length,
});

function saying(built: Built, changes: Partial<ReleaseTarget['custom']>): Built {
  return { ...built, target: { ...built.target, custom: { ...built.target.custom, ...changes } } };
}

const withSbom = (built: Built, sbom: Buffer): Built =>
  saying(built, { sbom: sideFile(built, '.sbom.sigstore.json', sbom) });

/** The role with something else said of a listed release. */
async function roleSaying(built: Built): Promise<Metadata<Targets>> {
  const role = structuredClone(bump(desk.role(), 'product', desk.clock.time));
  role.signed.targets[built.target.path]!.custom = built.target.custom;
  return desk.signRole(role);
}

describe('an SBOM', () => {
  test('is published beside the image, and a charger finds it by its digest', async () => {
    const built = await desk.buildRelease('1.0.0');
    const sbom = await sbomOf(built);
    await desk.upload(sbom);
    const listed = withSbom(built, sbom);
    await desk.release(listed);
    const { path, sha256 } = listed.target.custom.sbom!;
    expect(await desk.deps.blobs.stat(targetKey(path, sha256))).toMatchObject({ length: sbom.length });
  });

  test('that k engineers list without the build is refused, asked for or not', async () => {
    const built = await desk.buildRelease('1.0.0');
    const other = await desk.buildRelease('1.0.1');
    for (const sbom of [await sbomOf(built, generateKey('ecdsa-sha2-nistp256')), await sbomOf(other)]) {
      await refused('SBOM_INVALID', async () => {
        await desk.upload(sbom);
        return desk.release(withSbom(built, sbom));
      });
    }
    await refused('UPLOAD_MISSING', async () => desk.release(withSbom(built, await sbomOf(built))));
  });

  test('that is asked for must be there, be it of the build and the engineers', async () => {
    await ask({ sbom: 'required' });
    const built = await desk.buildRelease('1.0.0');
    await refused('SBOM_MISSING', () => desk.release(built));
    // CI has attested one; without the engineers nobody lists it.
    const sbom = await sbomOf(built);
    await desk.upload(sbom);
    await refused('SBOM_MISSING', () => desk.release(built));
    await desk.release(withSbom(built, sbom));
    await refused('SBOM_MISSING', async () =>
      desk.publishRole(await roleSaying(saying(built, { sbom: null }))),
    );
  });
});

describe('several builders', () => {
  test('must each have attested the image', async () => {
    await ask({ builderThreshold: 2 });
    const built = await desk.buildRelease('1.0.0');
    await refused('BUILDERS_TOO_FEW', () => desk.release(built));
    const stolen = await provenanceOf(built, desk.build);
    const again = saying(built, {
      bundles: [...built.target.custom.bundles, sideFile(built, '.2.sigstore.json', stolen)],
    });
    await refused('BUILDERS_TOO_FEW', async () => {
      await desk.upload(stolen);
      return desk.release(again);
    });
    const other = await provenanceOf(built, second);
    await desk.upload(other);
    const both = saying(built, {
      bundles: [...built.target.custom.bundles, sideFile(built, '.2.sigstore.json', other)],
    });
    await desk.release(both);
    await refused('BUILDERS_TOO_FEW', async () =>
      desk.publishRole(await roleSaying(saying(both, { bundles: built.target.custom.bundles }))),
    );
  });
});

describe('a policy that asks for more', () => {
  let built: Built;
  beforeEach(async () => {
    built = await desk.buildRelease('1.0.0');
    await desk.release(built);
    const { db } = desk.deps;
    const site = { organisation: 'acme', id: 's', name: 's', type: 'depot', region: 'de' };
    await db
      .insertInto('sites')
      .values({ ...site, time_zone: 'Europe/Berlin', created_at: new Date(START) })
      .execute();
    const charger = { organisation: 'acme', serial: 'A1', product: PRODUCT, hardware: 'dc150-r2', site: 's' };
    const runs = { running_sha256: built.target.sha256, stratum: 'x', cohort_key: 1 };
    await db
      .insertInto('chargers')
      .values({ ...charger, ...runs, state: 'ACTIVE' })
      .execute();
  });

  test.each<[string, Partial<ProductPolicy>]>([
    ['SBOM_MISSING', { sbom: 'required' }],
    ['BUILDERS_TOO_FEW', { builderThreshold: 2 }],
  ])('strands whoever runs what has it not: %s', async (because, changes) => {
    const attempt = () => ask(changes);
    await refused('WOULD_STRAND', attempt);
    await expect(attempt()).rejects.toMatchObject({ members: { stranded: { chargers: [{ because }] } } });
    await ask(changes, [built.target.path]);
  });

  test('is not let through by a change of notes in the same publication', async () => {
    const role = await roleSaying(saying(built, { notes: 'something else' }));
    const trust = await desk.signTrust(asking({ sbom: 'required' }));
    await refused('WOULD_STRAND', () => desk.send({ ...trust, products: { [PRODUCT]: text(role) } }));
  });

  test('strands nobody once it has been attested', async () => {
    const sbom = await sbomOf(built);
    await desk.upload(sbom);
    await desk.publishRole(await roleSaying(withSbom(built, sbom)));
    await ask({ sbom: 'required' });
  });
});

test('what the policy refuses by now can be deprecated, but gains nothing', async () => {
  const [one, two] = [await desk.buildRelease('1.0.0'), await desk.buildRelease('1.1.0')];
  await desk.release(one, two);
  const denied = { digests: [two.target.sha256], signers: [] };
  await desk.send(await desk.signTrust({ ...desk.policy, version: 2, denied }));
  const way = {
    path: one.target.path,
    sha256: one.target.sha256,
    expires: '2027-01-01T00:00:00Z',
    auto: true,
  };
  await refused('DENIED', async () => desk.publishRole(await roleSaying(saying(two, { fallback: [way] }))));
  const again = await provenanceOf(two, desk.build);
  await refused('DENIED', async () => {
    await desk.upload(again);
    const bundles = [...two.target.custom.bundles, sideFile(two, '.2.sigstore.json', again)];
    return desk.publishRole(await roleSaying(saying(two, { bundles })));
  });
  const published = await desk.publishRole(await roleSaying(saying(two, { deprecated: 'denied' })));
  expect(published.changedReleases).toEqual([{ product: PRODUCT, version: '1.1.0' }]);
});
