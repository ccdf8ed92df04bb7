/** Who signs, who witnesses it, and the bundle that comes of it. */
import { X509Certificate } from 'node:crypto';
import { BUNDLE_V03_MEDIA_TYPE, bundleToJSON, toMessageSignatureBundle } from '@sigstore/bundle';
import { DSSEBundleBuilder, MessageSignatureBundleBuilder } from '@sigstore/sign';
import type { Artifact, Signature, Signer as SigstoreSigner, Witness } from '@sigstore/sign';
import {
  type Builder,
  IN_TOTO_PAYLOAD_TYPE,
  type ProvenanceStatement,
  type SbomStatement,
  type TrustPolicy,
} from '@tidegate/client-sdk/protocol';
import { hintOf, publicKeyOf, type Signer } from '../keys/index.ts';
import { AttestError } from './errors.ts';
import { certify } from './fulcio.ts';
import type { IdentityToken } from './identity-token.ts';
import { rekor } from './rekor.ts';
import { selectServices, type SigningConfig } from './signing-config.ts';
import { timestampAuthority } from './timestamp.ts';

/** Where evidence comes from, and by what it is verified before anybody gets it. */
export interface Deployment {
  config: SigningConfig;
  /** `trusted_root.json`, verbatim. */
  trustedRoot: Uint8Array;
  /** Milliseconds since the epoch: the services are those that are valid then. */
  now: number;
}

export interface Signing {
  signer: SigstoreSigner;
  witnesses: Witness[];
  /** Key id (hex) of a key, or the URI of an identity: what a policy and a deny list call the signer. */
  name: string;
  /** The builder that a policy would name, and what it could ask of these bundles. */
  builder: Builder;
  evidence: { logs: number; timestamps: number };
  trustedRoot: Uint8Array;
}

const NO_TRUSTED_ROOT = Buffer.from(
  JSON.stringify({ mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' }),
);

/**
 * A key of one's own: P-256 or Ed25519. Bundles name it by `hintOf`.
 * @param deployment whose logs and timestamp authorities witness the signature; without one there is no evidence but the key's own.
 * @throws AttestError `SERVICE_NONE`, `SCHEME_UNFIT`
 */
export function keySigning(signer: Signer, deployment?: Deployment): Signing {
  const hint = hintOf(signer.publicKey);
  const ed25519 = signer.scheme === 'ed25519';
  const logs = deployment?.config.logs ?? [];
  // Rekor v2 is given a digest, and knows no Ed25519 over one that verifiers of attestations would accept.
  if (ed25519 && logs.length > 0 && logs.every(({ version }) => version === 2)) {
    throw new AttestError('SCHEME_UNFIT', 'Rekor v2 and an Ed25519 key');
  }
  const witnesses = deployment === undefined ? NOBODY : witnessesOf(deployment, ed25519 ? [1] : [1, 2]);
  return {
    ...witnesses,
    name: hint,
    builder: { kind: 'key', keyId: hint, publicKey: signer.publicKey, state: 'active' },
    trustedRoot: deployment?.trustedRoot ?? NO_TRUSTED_ROOT,
    signer: {
      sign: async (bytes) => ({
        signature: Buffer.from(await signer.sign(bytes)),
        key: { $case: 'publicKey', publicKey: signer.publicKey, hint },
      }),
    },
  };
}

/**
 * Keyless: the identity's certificate from Fulcio, for a key that is never written anywhere. Sign within minutes.
 * @param who a policy names workflows and nobody else: a person's signature is for other verifiers than a charger.
 * @throws AttestError
 */
export async function identitySigning(
  identity: IdentityToken,
  deployment: Deployment,
  who: 'workflow' | 'anybody' = 'workflow',
): Promise<Signing> {
  const { config, now, trustedRoot } = deployment;
  const [authority] = selectServices('Fulcio', config.authorities, [1], { kind: 'ANY' }, now);
  // A charger asks of an identity for a log, and for a time.
  if (config.logs.length === 0) throw new AttestError('SERVICE_NONE', 'Rekor: 0 of 1');
  const witnesses = witnessesOf(deployment, [1, 2]);
  const { key, certificate, identity: certified } = await certify(authority?.url ?? '', identity);
  const { kind, name } = certified;
  // Before anything is in a log for ever.
  if (kind === 'person' && who === 'workflow') throw new AttestError('IDENTITY_UNUSABLE', name.slice(0, 200));
  return {
    ...witnesses,
    name,
    builder: { kind: 'identity', issuer: identity.issuer, ...workflowOf(name), state: 'active' },
    trustedRoot,
    signer: {
      sign: async (bytes) => ({
        signature: Buffer.from(await key.sign(bytes)),
        key: { $case: 'x509Certificate', certificate },
      }),
    },
  };
}

/** A bundle v0.3 (JSON) around a DSSE envelope around a statement. Nothing has looked at its evidence yet. */
export async function bundleOf(
  statement: ProvenanceStatement | SbomStatement,
  signing: Signing,
): Promise<Uint8Array> {
  return signStatement(Buffer.from(JSON.stringify(statement)), signing);
}

/** As `bundleOf`, around the very bytes of an in-toto statement that somebody else has written. */
export async function signStatement(
  statement: Uint8Array,
  { signer, witnesses }: Signing,
): Promise<Uint8Array> {
  const builder = new StatementBuilder({ signer, witnesses });
  return encoded(await builder.create({ data: Buffer.from(statement), type: IN_TOTO_PAYLOAD_TYPE }));
}

/**
 * A bundle v0.3 (JSON) with a signature over bytes of any kind, as `cosign verify-blob` reads it. Attestations say more.
 * @throws AttestError `SCHEME_UNFIT` for Ed25519: verifiers hold such a signature against a digest.
 */
export async function signBlob(
  bytes: Uint8Array,
  { signer, witnesses, builder }: Signing,
): Promise<Uint8Array> {
  if (builder.kind === 'key' && publicKeyOf(builder.publicKey).scheme === 'ed25519')
    throw new AttestError('SCHEME_UNFIT', 'A blob');
  return encoded(await new BlobBuilder({ signer, witnesses }).create({ data: Buffer.from(bytes) }));
}

/** A policy that allows nobody but this signer, and asks for all the evidence that was asked for. */
export function policyOf({ builder, evidence }: Signing, product: string): TrustPolicy {
  return {
    _type: 'tidegate-policy',
    version: 1,
    directors: {},
    products: {
      [product]: {
        builders: [builder],
        ...evidence,
        securityVersionCap: Number.MAX_SAFE_INTEGER,
        emergencyFloor: 0,
      },
    },
    denied: { digests: [], signers: [] },
  };
}

/**
 * The library writes the hint as the envelope's `keyid` too. It is optional and signed by nobody (DSSE v1), and cosign passes over a
 * signature whose keyid is not its own idea of one.
 */
class StatementBuilder extends DSSEBundleBuilder {
  protected override async package(artifact: Artifact, signature: Signature) {
    const bundle = await super.package(artifact, signature);
    for (const signed of bundle.content.dsseEnvelope.signatures) signed.keyid = '';
    return bundle;
  }
}

/** The library's own makes version 0.2. */
class BlobBuilder extends MessageSignatureBundleBuilder {
  protected override async package(artifact: Artifact, signature: Signature) {
    const older = await super.package(artifact, signature);
    const { messageDigest, signature: bytes } = older.content.messageSignature;
    const { key } = signature;
    return toMessageSignatureBundle({
      digest: messageDigest.digest,
      signature: bytes,
      certificateChain: false,
      ...(key.$case === 'publicKey'
        ? { keyHint: key.hint ?? '' }
        : { certificate: new X509Certificate(key.certificate).raw }),
    });
  }
}

interface Witnesses {
  witnesses: Witness[];
  evidence: { logs: number; timestamps: number };
}

const NOBODY: Witnesses = { witnesses: [], evidence: { logs: 0, timestamps: 0 } };

/** @param versions of Rekor's API. */
function witnessesOf({ config, now }: Deployment, versions: readonly number[]): Witnesses {
  const logs =
    config.logs.length === 0 ? [] : selectServices('Rekor', config.logs, versions, config.logSelector, now);
  const clocks =
    config.timestampAuthorities.length === 0
      ? []
      : selectServices('Timestamps', config.timestampAuthorities, [1], config.timestampSelector, now);
  return {
    witnesses: [
      ...logs.map(({ url, version }) => rekor(url, version)),
      ...clocks.map(({ url }) => timestampAuthority(url)),
    ],
    evidence: { logs: logs.length, timestamps: clocks.length },
  };
}

/** `https://…/release.yml@refs/tags/v1` has a ref; a URI without one is the workflow as a whole. */
function workflowOf(identity: string): { workflow: string; ref: string } {
  const at = identity.indexOf('@refs/');
  return at < 0
    ? { workflow: identity, ref: '' }
    : { workflow: identity.slice(0, at), ref: identity.slice(at + 1) };
}

function encoded(bundle: Parameters<typeof bundleToJSON>[0]): Uint8Array {
  if (bundle.mediaType !== BUNDLE_V03_MEDIA_TYPE) throw new TypeError(`a bundle of ${bundle.mediaType}`);
  const written = bundleToJSON(bundle);
  // The first entry of a log has no path. Protobuf leaves an empty list out, and sigstore-python wants one.
  for (const { inclusionProof } of written.verificationMaterial.tlogEntries ?? []) {
    if (inclusionProof !== undefined) inclusionProof.hashes ??= [];
  }
  return Buffer.from(`${JSON.stringify(written)}\n`);
}
