import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  BUILD_TYPE,
  type ExternalParameters,
  PROVENANCE_TYPE,
  type ProvenanceStatement,
  STATEMENT_TYPE,
} from '@tidegate/client-sdk/protocol';
import { verifyBundle } from '@tidegate/client-sdk/trust';
import type { Signer } from '../keys/index.ts';
import { bundleOf, keySigning, policyOf, type Signing } from './signing.ts';

export interface Build {
  image: { name: string; sha256: string };
  parameters: ExternalParameters;
  /** URI of who or what built it. SLSA provenance v1, `builder.id`. */
  builder: string;
  /** RFC 3339, UTC. */
  finishedOn?: string;
  /** The build's own id, e.g. a CI run's URL. */
  invocationId?: string;
  /** For a known-good image whose first key or identity goes: what the new attestation rests on. */
  reattests?: {
    /** SHA-256 (hex) of the bundles that were published. */
    bundles: string[];
    /** Version of the product role that lists the image, signed by k of n release engineers. */
    roleVersion: number;
  };
}

/**
 * Attests a build: a Sigstore bundle v0.3 (JSON) around a DSSE in-toto statement with SLSA provenance v1. It is verified as a charger
 * will, evidence included, before it is handed out. The image's bytes are not needed, only their digest; get it from `hashFile`.
 * @throws AttestError, KeyError, Refusal
 */
export async function attestBuild(build: Build, signing: Signing): Promise<Uint8Array> {
  const bundle = await bundleOf(provenanceOf(build), signing);
  const { product } = build.parameters;
  const { sha256 } = build.image;
  const { trustedRoot: sigstoreRoot } = signing;
  verifyBundle({ bundle, sha256, product, policy: policyOf(signing, product), sigstoreRoot });
  return bundle;
}

/** The same with a key alone, for policies that ask for no logs and no timestamps. */
export async function attestProvenance(build: Build & { signer: Signer }): Promise<Uint8Array> {
  return attestBuild(build, keySigning(build.signer));
}

/** The statement that is attested. */
export function provenanceOf(build: Build): ProvenanceStatement {
  const { image, parameters, builder, finishedOn, invocationId, reattests } = build;
  const metadata = {
    ...(invocationId === undefined ? {} : { invocationId }),
    ...(finishedOn === undefined ? {} : { finishedOn }),
  };
  return {
    _type: STATEMENT_TYPE,
    subject: [{ name: image.name, digest: { sha256: image.sha256 } }],
    predicateType: PROVENANCE_TYPE,
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: parameters,
        ...(reattests === undefined ? {} : { internalParameters: { reattests } }),
        resolvedDependencies: [],
      },
      runDetails: { builder: { id: builder }, metadata },
    },
  };
}

/** Digest and length of a file, read in pieces: an image of any size costs the same memory. */
export async function hashFile(path: string): Promise<{ sha256: string; length: number }> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer);
    length += (chunk as Buffer).length;
  }
  return { sha256: hash.digest('hex'), length };
}
