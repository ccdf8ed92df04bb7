/**
 * The command line that sigstore/sigstore-conformance asks of a client (its docs/cli_protocol.md): `verify-bundle` and `sign-bundle`.
 * Verification is the SDK's; what it takes here beyond an attestation of firmware (message signatures, earlier formats, any in-toto
 * statement) is in `verify.ts`.
 */
import { createPublicKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { readArtifact } from './artifact.ts';
import { verify, type Expected } from './verify.ts';

export interface World {
  err(line: string): void;
}

const USAGE = `sigstore-client verify-bundle [--staging] --bundle FILE (--certificate-identity IDENTITY --certificate-oidc-issuer URL | --key PEM)
  [--trusted-root FILE] FILE_OR_SHA256_DIGEST
sigstore-client sign-bundle [--staging] [--in-toto] --identity-token TOKEN --bundle FILE [--signing-config FILE] [--trusted-root FILE] FILE`;

/** @returns the exit code: 0 for verified or signed, otherwise 1. */
export async function sigstoreClient(args: string[], world: World): Promise<0 | 1> {
  try {
    const [command, ...rest] = args;
    if (command === 'verify-bundle') await verifyBundle(rest);
    else if (command === 'sign-bundle') await signBundle(rest);
    else throw new TypeError(USAGE);
    return 0;
  } catch (error) {
    world.err(explain(error));
    return 1;
  }
}

async function verifyBundle(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: VERIFY });
  const [artifact, ...more] = positionals;
  if (values.bundle === undefined || artifact === undefined || more.length > 0) throw new TypeError(USAGE);
  const instance = values.staging === true ? 'staging' : 'production';
  verify({
    bundle: await readFile(values.bundle),
    trustedRoot: await readFile(values['trusted-root'] ?? publicFile(instance, 'trusted_root')),
    artifact: await readArtifact(artifact),
    expected: await expectedSigner(values),
  });
}

const VERIFY = {
  staging: { type: 'boolean' },
  bundle: { type: 'string' },
  key: { type: 'string' },
  'certificate-identity': { type: 'string' },
  'certificate-oidc-issuer': { type: 'string' },
  'trusted-root': { type: 'string' },
} as const;

async function signBundle(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: SIGN });
  const [file, ...more] = positionals;
  const { bundle, 'identity-token': token } = values;
  if (bundle === undefined || token === undefined || file === undefined || more.length > 0) {
    throw new TypeError(USAGE);
  }
  const instance = values.staging === true ? 'staging' : 'production';
  // Signing loads what verifying never needs.
  const { sign } = await import('./sign.ts');
  const signed = await sign({
    bytes: await readFile(file),
    kind: values['in-toto'] === true ? 'statement' : 'artifact',
    token,
    signingConfig: await readFile(values['signing-config'] ?? publicFile(instance, 'signing_config')),
    trustedRoot: await readFile(values['trusted-root'] ?? publicFile(instance, 'trusted_root')),
    now: Date.now(),
  });
  await writeFile(bundle, signed);
}

const SIGN = {
  staging: { type: 'boolean' },
  'in-toto': { type: 'boolean' },
  'identity-token': { type: 'string' },
  bundle: { type: 'string' },
  'signing-config': { type: 'string' },
  'trusted-root': { type: 'string' },
} as const;

async function expectedSigner(values: {
  key?: string;
  'certificate-identity'?: string;
  'certificate-oidc-issuer'?: string;
}): Promise<Expected> {
  const { key, 'certificate-identity': san, 'certificate-oidc-issuer': issuer } = values;
  if (key !== undefined && san === undefined && issuer === undefined) {
    return { kind: 'key', publicKey: createPublicKey(await readFile(key)) };
  }
  if (key === undefined && san !== undefined && issuer !== undefined)
    return { kind: 'identity', san, issuer };
  throw new TypeError(`either a key, or an identity and its issuer\n${USAGE}`);
}

/** The public instance's, as copied to `roots/`: there is no network to ask. */
function publicFile(instance: 'production' | 'staging', file: 'trusted_root' | 'signing_config'): string {
  return path.join(import.meta.dirname, 'roots', `${instance}.${file}.json`);
}

/** With its causes: a refusal says what was refused, its cause by which rule. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${explain(error.cause)})`;
}
