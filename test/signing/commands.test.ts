/** `sign`, `reattest`, `release` and `key show`, as a person types them, with keys that no file holds and with none at all. */
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import type { Builder, TrustPolicy } from '@tidegate/client-sdk/protocol';
import { verifyBundle, verifyRelease, verifySbom } from '@tidegate/client-sdk/trust';
import { generateKey, hintOf, openKeyFile, type PrivateKey } from '@tidegate/signer/keys';
import { readWorkingCopy, releasesOf } from '@tidegate/signer/repository';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Desk, openDesk } from '../../signer/commands/desk.fixture.ts';
import { expectVerified, policyFor } from '../support/bundles.ts';
import { writeProgram } from '../support/programs.ts';
import { IDENTITY, ISSUER, testSigstore, type TestSigstore } from '../support/sigstore.ts';
import { testToken, type TestToken, WITHOUT_SOFTHSM } from '../support/softhsm.ts';

const PRODUCT = 'acme.dc150';
const SAID = [
  '--product',
  PRODUCT,
  '--version',
  '1.2.0',
  '--hardware',
  'dc150-r2',
  '--security-version',
  '3',
];
const IMAGE = Buffer.from('firmware');
const SHA256 = createHash('sha256').update(IMAGE).digest('hex');
const CYCLONEDX = {
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  components: [{ type: 'library', name: 'openssl' }],
};

let sigstore: TestSigstore;
let desk: Desk;
beforeAll(async () => {
  sigstore = await testSigstore();
});
afterAll(() => sigstore.close());
beforeEach(async () => {
  desk = await openDesk();
  await writeFile(desk.path('fw.bin'), IMAGE);
  await writeFile(desk.path('trusted_root.json'), sigstore.trustedRoot);
  await writeFile(desk.path('signing_config.json'), sigstore.signingConfig());
  desk.env['PATH'] = process.env['PATH'] ?? '';
});
afterEach(() => desk.close());

const sign = (...more: string[]) => desk.run('sign', 'fw.bin', ...SAID, ...more);
const bundleAt = (name: string) => readFile(desk.path(name));
const SERVICES = ['--signing-config', 'signing_config.json', '--trusted-root', 'trusted_root.json'];

/** A key behind a command, as a KMS is. */
async function behindCommand(name: string, key: PrivateKey): Promise<string> {
  const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const digest = key.scheme === 'ed25519' ? 'null' : "'sha256'";
  await writeProgram(
    desk.folder,
    name,
    `if (args[0] === 'public-key') process.stdout.write(${JSON.stringify(key.publicKey)});
     else process.stdout.write(crypto.sign(${digest}, input(), ${JSON.stringify(pem)}).toString('base64'));`,
  );
  return `exec:./${name}`;
}

describe('sign with a key that no file holds', () => {
  it('behind a command', async () => {
    const key = generateKey('ecdsa-sha2-nistp256');
    const reference = await behindCommand('kms', key);
    const { json, exit } = await sign('--key', reference);
    expect({ exit, signer: json['signer'] }).toEqual({ exit: 0, signer: hintOf(key.publicKey) });
    expectVerified(await bundleAt('fw.bin.sigstore.json'), key, SHA256);
    const shown = await desk.run('key', 'show', '--key', reference);
    expect(shown.json).toMatchObject({
      keyId: key.keyId,
      builderId: hintOf(key.publicKey),
      publicKey: key.publicKey,
    });
  });

  it('and with witnesses', async () => {
    const key = generateKey('ecdsa-sha2-nistp256');
    const { json } = await sign('--key', await behindCommand('kms', key), ...SERVICES);
    expect(json['evidence']).toEqual({ logs: 1, timestamps: 1 });
    const trustedRoot: unknown = JSON.parse(sigstore.trustedRoot.toString());
    expectVerified(await bundleAt('fw.bin.sigstore.json'), key, SHA256, {
      trustedRoot,
      logs: 1,
      timestamps: 2,
    });
  });

  it('that signs wrongly: nothing is written', async () => {
    const key = generateKey('ecdsa-sha2-nistp256');
    await writeProgram(
      desk.folder,
      'kms',
      `process.stdout.write(args[0] === 'public-key' ? ${JSON.stringify(key.publicKey)} : 'QUJD')`,
    );
    const before = await readdir(desk.folder);
    expect(await sign('--key', 'exec:./kms')).toMatchObject({ exit: 1, code: 'KEY_SIGNATURE_WRONG' });
    expect(await desk.run('key', 'show', '--key', 'exec:./kms')).toMatchObject({
      code: 'KEY_SIGNATURE_WRONG',
    });
    expect(await readdir(desk.folder)).toEqual(before);
  });
});

if (WITHOUT_SOFTHSM === undefined) {
  describe('sign with a key in a token', () => {
    let token: TestToken;
    beforeAll(async () => {
      token = await testToken();
      token.addKey('ecdsa-sha2-nistp256', 'build', '01');
      token.addKey('ed25519', 'build ed', '02');
    });
    afterAll(() => token.close());

    it.each(['build', 'build%20ed'])('%s', async (object) => {
      Object.assign(desk.env, token.env);
      const key = `pkcs11:token=tidegate%20test;object=${object}?module-path=${token.module}`;
      expect((await sign('--key', key)).exit).toBe(0);
      const { publicKey } = (await desk.run('key', 'show', '--key', key)).json as { publicKey: string };
      expectVerified(await bundleAt('fw.bin.sigstore.json'), { publicKey }, SHA256);
    });
  });
} else if (process.env['CI'] === 'true') {
  it('SoftHSM is there', () => expect(WITHOUT_SOFTHSM).toBeUndefined());
} else {
  it.skip(`a key in a token: ${WITHOUT_SOFTHSM}`, () => undefined);
}

describe('sign without a key', () => {
  const builder = {
    kind: 'identity',
    issuer: ISSUER,
    workflow: IDENTITY.split('@')[0],
    ref: 'refs/tags/*',
    state: 'active',
  };
  const policy = policyFor(PRODUCT, builder, { logs: 1, timestamps: 1 });
  const expectSigned = async (name = 'fw.bin.sigstore.json') => {
    const input = { bundle: await bundleAt(name), sha256: SHA256, policy, product: PRODUCT };
    const { statement } = verifyBundle({ ...input, sigstoreRoot: sigstore.trustedRoot });
    expect(statement.predicate.runDetails.builder.id).toBe(IDENTITY);
  };

  it('as the job whose token is in a file', async () => {
    await writeFile(desk.path('token'), `${sigstore.token()}\n`);
    const { json } = await sign('--keyless', '--identity-token-file', 'token', ...SERVICES);
    expect(json).toMatchObject({ signer: IDENTITY, evidence: { logs: 1, timestamps: 1 } });
    await expectSigned();
  });

  it('as the job that GitLab gave a token, in Rekor v2', async () => {
    desk.env['SIGSTORE_ID_TOKEN'] = sigstore.token();
    await writeFile(desk.path('signing_config.json'), sigstore.signingConfig({ rekor: [2] }));
    const { out } = await desk.say('sign', 'fw.bin', ...SAID, '--keyless', ...SERVICES);
    expect(out.join('\n')).toContain(`${IDENTITY}, witnessed by 1 log and 1 timestamp authority`);
    await expectSigned();
  });

  it('with an SBOM beside it', async () => {
    desk.env['SIGSTORE_ID_TOKEN'] = sigstore.token();
    await writeFile(desk.path('sbom.json'), JSON.stringify(CYCLONEDX));
    const { json } = await sign(
      '--keyless',
      ...SERVICES,
      '--sbom',
      'sbom.json',
      '--sbom-out',
      'out/sbom.bundle',
    );
    expect(json['sbom']).toEqual({
      bundle: desk.path('out/sbom.bundle'),
      format: 'CycloneDX',
      version: '1.5',
    });
    const bundle = await bundleAt('out/sbom.bundle');
    const input = { bundle, sha256: SHA256, policy, product: PRODUCT, sigstoreRoot: sigstore.trustedRoot };
    expect(verifySbom(input)).toMatchObject({ signer: IDENTITY, statement: { predicate: CYCLONEDX } });
    await expectSigned();
  });

  it.each([
    [['--keyless'], 'OPTION_INVALID', 2],
    [['--keyless', '--key', 'exec:./kms', ...SERVICES], 'OPTION_INVALID', 2],
    [['--identity-token-file', 'token'], 'OPTION_INVALID', 2],
    [['--signing-config', 'signing_config.json'], 'OPTION_INVALID', 2],
    [['--trusted-root', 'trusted_root.json'], 'OPTION_INVALID', 2],
    [['--keyless', ...SERVICES], 'IDENTITY_MISSING', 1],
    [['--keyless', '--identity-token-file', 'fw.bin', ...SERVICES], 'IDENTITY_TOKEN', 1],
    [['--keyless', '--signing-config', 'fw.bin', '--trusted-root', 'fw.bin'], 'SIGNING_CONFIG', 1],
    [['--sbom', 'fw.bin'], 'SBOM_MALFORMED', 1],
    [['--sbom', 'none.json'], 'FILE_UNREADABLE', 1],
    [['--key', 'pkcs11:object=x?pin-value=1'], 'KEY_REFERENCE', 1],
  ])('refuses %j, and writes nothing', async (args, code, exit) => {
    const before = await readdir(desk.folder);
    expect(await sign(...args)).toMatchObject({ code, exit });
    expect(await readdir(desk.folder)).toEqual(before);
  });
});

describe('a release', () => {
  beforeEach(async () => {
    await desk.run('init');
    await desk.run('product', 'add', PRODUCT, '--hardware', 'dc150-r2');
    expect((await sign()).exit).toBe(0);
  });

  /** Whoever signs product releases in the ceremony of the desk, with their keys. */
  async function engineers(): Promise<{ name: string; key: PrivateKey }[]> {
    const people = await readdir(desk.path('.tidegate/keys'));
    const held: { name: string; key: PrivateKey }[] = [];
    for (const name of people) {
      const files = await readdir(desk.path('.tidegate/keys', name));
      if (!files.includes(`${PRODUCT}.key.json`)) continue;
      const passphrase = (await readFile(desk.path('.tidegate/keys', name, 'passphrase'), 'utf8')).trim();
      held.push({
        name,
        key: await openKeyFile(desk.path('.tidegate/keys', name, `${PRODUCT}.key.json`), passphrase),
      });
    }
    return held;
  }

  async function release(): Promise<void> {
    const [first, second] = await engineers();
    if (first === undefined || second === undefined) throw new Error('two engineers sign');
    const proposing = await behindCommand(first.name, first.key);
    const bundle = ['--bundle', 'fw.bin.sigstore.json'];
    const proposed = await desk.run('release', 'propose', 'fw.bin', ...bundle, ...SAID, '--key', proposing);
    expect(proposed.exit).toBe(0);
    desk.env['TIDEGATE_KEY'] = await behindCommand(second.name, second.key);
    expect((await desk.run('release', 'cosign', `${PRODUCT}@1.2.0`)).json).toMatchObject({ complete: true });
  }

  it('is proposed and cosigned with keys behind commands', release);

  it('is attested anew with another key before the first one is retired', async () => {
    await release();
    const key = generateKey('ecdsa-sha2-nistp256');
    const reference = await behindCommand('kms', key);
    const { json, exit } = await desk.run(
      'reattest',
      `${PRODUCT}@1.2.0`,
      '--key',
      reference,
      '--image',
      'fw.bin',
    );
    expect({ exit, sha256: json['sha256'], signer: json['signer'] }).toEqual({
      exit: 0,
      sha256: SHA256,
      signer: hintOf(key.publicKey),
    });
    const again = await bundleAt(`${PRODUCT}-1.2.0.again.sigstore.json`);
    const first = await bundleAt('fw.bin.sigstore.json');
    const { statement } = expectVerified(again, key, SHA256);
    expect(statement.predicate.buildDefinition.internalParameters).toEqual({
      reattests: { bundles: [sha256Of(first)], roleVersion: json['roleVersion'] },
    });

    const { policy, products } = await readWorkingCopy(desk.path('.tidegate/repository'));
    const [target] = releasesOf(products.get(PRODUCT)!.metadata);
    const old = policy.products[PRODUCT]!.builders[0]!;
    const both = {
      ...target!,
      custom: {
        ...target!.custom,
        bundles: [first, again].map((bytes) => ({
          path: 'x',
          length: bytes.length,
          sha256: sha256Of(bytes),
        })),
      },
    };
    const newKey: Builder = {
      kind: 'key',
      keyId: hintOf(key.publicKey),
      publicKey: key.publicKey,
      state: 'active',
    };
    const gone: Builder = { ...old, state: 'compromised' };
    const input = { target: both, product: PRODUCT, sigstoreRoot: Buffer.from('{}') };
    const after = withBuilders(policy, [gone, newKey]);
    expect(verifyRelease({ ...input, bundles: [first, again], policy: after }).signer).toBe(
      hintOf(key.publicKey),
    );
    const refused = expect.objectContaining({ code: 'BUILDER_REVOKED' }) as Error;
    expect(() => verifyRelease({ ...input, bundles: [first], policy: after })).toThrow(refused);
  });

  it('is not attested anew where it is unknown, or the image is another one', async () => {
    const reference = await behindCommand('kms', generateKey());
    const reattest = (name: string, ...more: string[]) =>
      desk.run('reattest', name, '--key', reference, ...more);
    expect(await reattest(`${PRODUCT}@1.2.0`)).toMatchObject({ code: 'RELEASE_UNKNOWN', exit: 1 });
    await release();
    expect(await reattest(`${PRODUCT}@1.2.1`)).toMatchObject({ code: 'RELEASE_UNKNOWN', exit: 1 });
    expect(await reattest(PRODUCT)).toMatchObject({ code: 'OPTION_INVALID', exit: 2 });
    await writeFile(desk.path('other.bin'), 'other');
    expect(await reattest(`${PRODUCT}@1.2.0`, '--image', 'other.bin')).toMatchObject({
      code: 'IMAGE_DIGEST',
    });
    expect(await readdir(desk.folder)).not.toContain(`${PRODUCT}-1.2.0.again.sigstore.json`);
  });
});

function withBuilders(policy: TrustPolicy, builders: Builder[]): TrustPolicy {
  return { ...policy, products: { [PRODUCT]: { ...policy.products[PRODUCT]!, builders } } };
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
