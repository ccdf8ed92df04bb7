/**
 * A key in a PKCS#11 token: an HSM, a smart card, SoftHSM. OpenSC's `pkcs11-tool` talks to the token's library in a process of its own, so
 * that neither a native module nor the library is loaded into ours. Works with OpenSC 0.22 and later.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import { checkedSigner } from './checked.ts';
import { KeyError } from './errors.ts';
import type { Pkcs11Uri } from './pkcs11-uri.ts';
import { findKey, findSlot } from './pkcs11-listing.ts';
import {
  type Environment,
  environmentFor,
  type ProgramAnswer,
  programTimeout,
  runProgram,
} from './program.ts';
import { type PublicKey, publicKeyOf, type Signer } from './signer.ts';

const TOOL = 'pkcs11-tool';
/** Only the tool's own process sees it. Its command line names the variable. */
const PIN_VARIABLE = 'PKCS11_TOOL_PIN';
const MAX_PIN_BYTES = 256;
/** pkcs11-tool reads a buffer of 1,025 bytes and signs in parts what fills it, which Ed25519 cannot. */
const MAX_ED25519_BYTES = 1024;

export interface Pkcs11Host {
  /** `TIDEGATE_PKCS11_PIN`, `TIDEGATE_PKCS11_MODULE`, `TIDEGATE_KEY_TIMEOUT`, and what the token's library reads. */
  env: Environment;
  /** Default: `pkcs11-tool`, found in PATH. */
  tool?: string;
}

/**
 * @throws KeyError `TOKEN_*`, `PROGRAM_*`, `KEY_SCHEME`, `KEY_REFERENCE`; on signing also `KEY_SIGNATURE_WRONG`.
 */
export async function openPkcs11(uri: Pkcs11Uri, host: Pkcs11Host): Promise<Signer> {
  const pin = await readPin(uri, host.env);
  const token = await tokenTool(uri, host, pin);
  const id = await findPrivateKey(token, uri);
  const known = await readPublicKey(token, id);
  return checkedSigner(known, nameOf(uri), (bytes) => sign(token, id, known, bytes));
}

type TokenTool = (args: readonly string[], input?: Uint8Array) => Promise<ProgramAnswer>;

async function tokenTool(uri: Pkcs11Uri, host: Pkcs11Host, pin: string): Promise<TokenTool> {
  const module = uri.module ?? host.env['TIDEGATE_PKCS11_MODULE'];
  const library = module ? ['--module', module] : [];
  const timeoutMs = programTimeout(host.env);
  const run = (args: readonly string[], env: Environment, input?: Uint8Array) =>
    runProgram({
      program: host.tool ?? TOOL,
      args: [...library, ...args],
      ...(input && { input }),
      env: environmentFor(host.env, { LC_ALL: 'C', ...env }),
      timeoutMs,
      secret: pin,
    });
  const turn = turnsAt(module ?? '');
  const { answer, exit, lastWords } = await turn(() => run(['--list-token-slots'], {}));
  if (exit !== 0) throw new KeyError('PROGRAM_FAILED', `${TOOL}: ${lastWords}`);
  const slot = findSlot(answer.toString('utf8'), uri.token);
  const session = ['--slot', slot, '--login', '--pin', `env:${PIN_VARIABLE}`];
  return (args, input) =>
    turn(async () => {
      const said = await run([...session, ...args], { [PIN_VARIABLE]: pin }, input);
      if (/CKR_PIN_/.test(said.lastWords)) throw new KeyError('TOKEN_PIN', said.lastWords);
      return said;
    });
}

/** By the token's library: what has been asked of it last. */
const lastAt = new Map<string, Promise<unknown>>();

/**
 * A token does one thing at a time, and SoftHSM answers CKR_GENERAL_ERROR to whoever comes while another logs in: so all keys of one library
 * take turns, in whichever of its tokens they are.
 */
function turnsAt(module: string): <R>(work: () => Promise<R>) => Promise<R> {
  return (work) => {
    const next = (lastAt.get(module) ?? Promise.resolve()).then(work);
    lastAt.set(
      module,
      next.catch(() => undefined),
    );
    return next;
  };
}

async function findPrivateKey(token: TokenTool, uri: Pkcs11Uri): Promise<string> {
  const { answer, exit, lastWords } = await token(['--list-objects', '--type', 'privkey']);
  if (exit !== 0) throw new KeyError('PROGRAM_FAILED', `${TOOL}: ${lastWords}`);
  return findKey(answer.toString('utf8'), uri);
}

/** The public key, or a certificate in its place: many cards keep nothing else. */
async function readPublicKey(token: TokenTool, id: string): Promise<PublicKey> {
  const key = await token(['--read-object', '--type', 'pubkey', '--id', id]);
  if (key.exit === 0) return publicKey(key.answer, id);
  const certificate = await token(['--read-object', '--type', 'cert', '--id', id]);
  if (certificate.exit === 0) return certified(certificate.answer, id);
  if (/object not found/.test(key.lastWords)) throw new KeyError('TOKEN_KEY_MISSING', `Public key ${id}`);
  throw new KeyError('PROGRAM_FAILED', `${TOOL}: ${key.lastWords}`);
}

async function sign(token: TokenTool, id: string, known: PublicKey, bytes: Uint8Array): Promise<Buffer> {
  const ed25519 = known.scheme === 'ed25519';
  if (ed25519 && bytes.length > MAX_ED25519_BYTES) {
    throw new KeyError('TOKEN_MESSAGE_TOO_LONG', `${bytes.length} bytes`);
  }
  const input = ed25519 ? bytes : createHash('sha256').update(bytes).digest();
  const mechanism = ed25519 ? ['EDDSA'] : ['ECDSA', '--signature-format', 'openssl'];
  const { answer, exit, lastWords } = await token(['--sign', '--mechanism', ...mechanism, '--id', id], input);
  if (exit !== 0) throw new KeyError('PROGRAM_FAILED', `${TOOL}: ${lastWords}`);
  if (answer.length === 0) throw new KeyError('PROGRAM_ANSWER', TOOL);
  return answer;
}

async function readPin(uri: Pkcs11Uri, env: Environment): Promise<string> {
  const pin = uri.pinFile === undefined ? env['TIDEGATE_PKCS11_PIN'] : await pinIn(uri.pinFile);
  if (!pin) throw new KeyError('TOKEN_PIN_MISSING', nameOf(uri));
  return pin;
}

async function pinIn(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_PIN_BYTES), 0, MAX_PIN_BYTES, 0);
      return buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '');
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new KeyError('TOKEN_PIN_MISSING', path, { cause });
  }
}

/** Older versions write DER, newer ones PEM for some kinds of key. */
function publicKey(bytes: Buffer, id: string): PublicKey {
  const text = bytes.toString('latin1').trim();
  const pem = text.startsWith('-----BEGIN')
    ? text
    : `-----BEGIN PUBLIC KEY-----\n${bytes.toString('base64')}\n-----END PUBLIC KEY-----`;
  try {
    return publicKeyOf(`${pem}\n`);
  } catch (cause) {
    if (cause instanceof KeyError && cause.code === 'KEY_SCHEME') throw cause;
    throw new KeyError('PROGRAM_ANSWER', `${TOOL}, public key ${id}`, { cause });
  }
}

function certified(bytes: Buffer, id: string): PublicKey {
  try {
    const { publicKey: key } = new X509Certificate(bytes);
    return publicKeyOf(key.export({ type: 'spki', format: 'pem' }).toString());
  } catch (cause) {
    if (cause instanceof KeyError) throw cause;
    throw new KeyError('PROGRAM_ANSWER', `${TOOL}, certificate ${id}`, { cause });
  }
}

function nameOf({ token, object, id }: Pkcs11Uri): string {
  return `key ${object ?? id ?? ''} in token ${token.label ?? token.serial ?? token.slotId ?? '(any)'}`;
}
