/**
 * A key behind a command of the user's own: any cloud KMS serves through its vendor's command line, without a dependency of ours.
 * docs/examples/README.md has the contract in full and a script each for AWS, GCP and Azure.
 *
 * - `<program> public-key`: writes the public key (SPKI, PEM) to standard output.
 * - `<program> sign`: reads the very bytes that are to be signed from standard input until its end, and writes the signature in base64: for
 *   P-256 DER over SHA-256, for Ed25519 the 64 bytes.
 * - Exit code 0, or what went wrong on standard error. `TIDEGATE_SHA256` holds the SHA-256 (hex) of the bytes.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { checkedSigner } from './checked.ts';
import { KeyError } from './errors.ts';
import { type Environment, environmentFor, programTimeout, runProgram } from './program.ts';
import { publicKeyOf, type Signer } from './signer.ts';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export interface ExecHost {
  /** A relative program starts here. */
  cwd: string;
  env: Environment;
}

/**
 * @param program path of an executable. It is never looked up in PATH, so that a reference always means the same file.
 * @throws KeyError `PROGRAM_MISSING`, `PROGRAM_FAILED`, `PROGRAM_TIMEOUT`, `PROGRAM_ANSWER`, `KEY_SCHEME`, `KEY_REFERENCE`; on signing also
 * `KEY_SIGNATURE_WRONG`.
 */
export async function openExec(program: string, host: ExecHost): Promise<Signer> {
  const ask = asking(resolve(host.cwd, program), host.env);
  const pem = (await ask('public-key')).trim();
  return checkedSigner(readPublicKey(pem, program), `exec:${program}`, async (bytes) =>
    readSignature(await ask('sign', bytes), program),
  );
}

function asking(program: string, env: Environment): (verb: string, input?: Uint8Array) => Promise<string> {
  const timeoutMs = programTimeout(env);
  return async (verb, input) => {
    const sha256 = input && createHash('sha256').update(input).digest('hex');
    const { answer, lastWords, exit } = await runProgram({
      program,
      args: [verb],
      ...(input && { input }),
      env: environmentFor(env, { TIDEGATE_SHA256: sha256 }),
      timeoutMs,
    });
    if (exit !== 0) {
      throw new KeyError(
        'PROGRAM_FAILED',
        `${program} ${verb} (exit code ${exit}): ${lastWords || 'no words'}`,
      );
    }
    return answer.toString('latin1');
  };
}

function readPublicKey(pem: string, program: string) {
  try {
    return publicKeyOf(`${pem}\n`);
  } catch (cause) {
    if (cause instanceof KeyError && cause.code === 'KEY_SCHEME') throw cause;
    throw new KeyError('PROGRAM_ANSWER', `${program} public-key wrote no public key in PEM`, { cause });
  }
}

function readSignature(text: string, program: string): Buffer {
  // Command lines of vendors wrap and end lines as they like.
  const base64 = text.replaceAll(/\s/g, '');
  if (!BASE64.test(base64)) throw new KeyError('PROGRAM_ANSWER', `${program} sign wrote no base64`);
  return Buffer.from(base64, 'base64');
}
