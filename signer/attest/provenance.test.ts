import { createHash, createPublicKey } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleFromJSON, type SerializedBundle } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { parsePolicy, verifyBundle } from '@tidegate/client-sdk/trust';
import { describe, expect, it } from 'vitest';
import { generateKey, hintOf } from '../keys/index.ts';
import { attestProvenance, hashFile } from './index.ts';

const PARAMETERS = { product: 'acme.dc150', version: '1.2.0', hardware: ['dc150-r2'], securityVersion: 3 };
const SHA256 = createHash('sha256').update('image').digest('hex');
const SIGSTORE_ROOT = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' };

describe.each(['ed25519', 'ecdsa-sha2-nistp256'] as const)('a bundle by a key of scheme %s', (scheme) => {
  const signer = generateKey(scheme);
  const bundle = attestProvenance({
    image: { name: 'fw.raucb', sha256: SHA256 },
    parameters: PARAMETERS,
    builder: 'https://ci.example/build',
    signer,
  });

  it('verifies with an independent verifier', async () => {
    const json = JSON.parse(Buffer.from(await bundle).toString('utf8')) as SerializedBundle;
    expect(json.mediaType).toBe('application/vnd.dev.sigstore.bundle.v0.3+json');
    expect(json.verificationMaterial.publicKey?.hint).toBe(hintOf(signer.publicKey));
    // cosign passes over a signature under a keyid that it did not compute itself.
    expect(json.dsseEnvelope?.signatures.map(({ keyid }) => keyid ?? '')).toEqual(['']);
    const material = toTrustMaterial(TrustedRoot.fromJSON(SIGSTORE_ROOT), (hint) => {
      expect(hint).toBe(hintOf(signer.publicKey));
      return { publicKey: createPublicKey(signer.publicKey), validFor: () => true };
    });
    const verifier = new Verifier(material, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
    expect(() => verifier.verify(toSignedEntity(bundleFromJSON(json)))).not.toThrow();
  });

  it('verifies as on a charger, and says what was built', async () => {
    const keyId = hintOf(signer.publicKey);
    const builder = { kind: 'key', keyId, publicKey: signer.publicKey, state: 'active' };
    const product = { builders: [builder], logs: 0, timestamps: 0, securityVersionCap: 9, emergencyFloor: 0 };
    const policy = parsePolicy(
      Buffer.from(
        JSON.stringify({
          _type: 'tidegate-policy',
          version: 1,
          directors: {},
          products: { 'acme.dc150': product },
          denied: { digests: [], signers: [] },
        }),
      ),
    );
    const { statement, signer: by } = verifyBundle({
      bundle: await bundle,
      sha256: SHA256,
      policy,
      product: 'acme.dc150',
      sigstoreRoot: Buffer.from(JSON.stringify(SIGSTORE_ROOT)),
    });
    expect(by).toBe(keyId);
    expect(statement.predicate.buildDefinition.externalParameters).toEqual(PARAMETERS);
    expect(statement.predicate.runDetails.builder.id).toBe('https://ci.example/build');
  });
});

it('hashes a file in pieces', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-hash-'));
  const bytes = Buffer.alloc(3 * 1024 * 1024 + 1, 7);
  await writeFile(join(folder, 'image'), bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  expect(await hashFile(join(folder, 'image'))).toEqual({ sha256, length: bytes.length });
  await rm(folder, { recursive: true });
});
