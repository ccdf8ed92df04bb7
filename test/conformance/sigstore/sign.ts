/** Signs with the identity of a token, as CI does, and hands nothing out that does not verify. */
import { createHash } from 'node:crypto';
import { IN_TOTO_PAYLOAD_TYPE } from '@tidegate/client-sdk/protocol';
import {
  identitySigning,
  parseSigningConfig,
  parseToken,
  signBlob,
  signStatement,
} from '@tidegate/signer/attest';
import type { Artifact } from './artifact.ts';
import { refuseOtherStatement } from './content.ts';
import { verify } from './verify.ts';

export interface Signing {
  bytes: Buffer;
  /** The artifact itself, or an in-toto statement about one, which goes into a DSSE envelope as it is. */
  kind: 'artifact' | 'statement';
  /** OpenID Connect, compact. */
  token: string;
  signingConfig: Uint8Array;
  trustedRoot: Uint8Array;
  /** Milliseconds since the epoch. */
  now: number;
}

/** @returns a bundle v0.3, JSON. @throws AttestError; whatever is not right about the statement or the evidence. */
export async function sign({ bytes, kind, token, now, ...from }: Signing): Promise<Uint8Array> {
  const artifact = kind === 'artifact' ? { bytes, sha256: sha256(bytes) } : subjectOf(bytes);
  const identity = parseToken(token, now);
  const config = parseSigningConfig(from.signingConfig);
  const { trustedRoot } = from;
  const signing = await identitySigning(identity, { config, trustedRoot, now }, 'anybody');
  const bundle = kind === 'artifact' ? await signBlob(bytes, signing) : await signStatement(bytes, signing);
  const expected = { kind: 'identity', san: signing.name, issuer: identity.issuer } as const;
  verify({ bundle, trustedRoot, artifact, expected });
  return bundle;
}

/** What a statement is about, by its first digest. */
function subjectOf(statement: Buffer): Artifact {
  const { subject } = JSON.parse(statement.toString()) as { subject?: { digest?: { sha256?: string } }[] };
  const digest = subject?.find((one) => one.digest?.sha256 !== undefined)?.digest?.sha256;
  if (digest === undefined) throw new TypeError('the statement names nothing by its SHA-256');
  const artifact = { sha256: Buffer.from(digest, 'hex'), bytes: undefined };
  // Before it is in a public log for ever.
  refuseOtherStatement(IN_TOTO_PAYLOAD_TYPE, statement, artifact);
  return artifact;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
