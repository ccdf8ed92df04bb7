import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { bundleToJSON } from '@sigstore/bundle';
import { DSSEBundleBuilder } from '@sigstore/sign';
import {
  BUILD_TYPE,
  type ExternalParameters,
  IN_TOTO_PAYLOAD_TYPE,
  PROVENANCE_TYPE,
  type ProvenanceStatement,
  STATEMENT_TYPE,
} from '@tidegate/client-sdk/protocol';
import { hintOf, type Signer } from '../keys/index.ts';

export interface Build {
  image: { name: string; sha256: string };
  parameters: ExternalParameters;
  /** URI of who or what built it. SLSA provenance v1, `builder.id`. */
  builder: string;
  /** RFC 3339, UTC. */
  finishedOn?: string;
  /** The build's own id, e.g. a CI run's URL. */
  invocationId?: string;
}

/**
 * Attests a build: a Sigstore bundle v0.3 (JSON) around a DSSE in-toto statement with SLSA provenance v1.
 * The image's bytes are not needed, only their digest; get it from `hashFile`.
 * @param signer P-256 or Ed25519. The bundle names its key by `hintOf`.
 */
export async function attestProvenance(build: Build & { signer: Signer }): Promise<Uint8Array> {
  const { signer } = build;
  const builder = new DSSEBundleBuilder({
    signer: {
      sign: async (bytes) => ({
        signature: Buffer.from(await signer.sign(bytes)),
        key: { $case: 'publicKey', publicKey: signer.publicKey, hint: hintOf(signer.publicKey) },
      }),
    },
    witnesses: [],
  });
  const bundle = await builder.create({
    data: Buffer.from(JSON.stringify(provenanceOf(build))),
    type: IN_TOTO_PAYLOAD_TYPE,
  });
  return Buffer.from(`${JSON.stringify(bundleToJSON(bundle))}\n`);
}

/** The statement that is attested. */
export function provenanceOf(build: Build): ProvenanceStatement {
  const { image, parameters, builder, finishedOn, invocationId } = build;
  const metadata = {
    ...(invocationId === undefined ? {} : { invocationId }),
    ...(finishedOn === undefined ? {} : { finishedOn }),
  };
  return {
    _type: STATEMENT_TYPE,
    subject: [{ name: image.name, digest: { sha256: image.sha256 } }],
    predicateType: PROVENANCE_TYPE,
    predicate: {
      buildDefinition: { buildType: BUILD_TYPE, externalParameters: parameters, resolvedDependencies: [] },
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
