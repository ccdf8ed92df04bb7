/**
 * Keys that sign: the port `Signer`, and its adapters. Every signature is verified before it is handed out.
 *
 * - `openSigner(reference, {cwd, env}): Promise<Signer>`: a key file, `pkcs11:…` (RFC 7512) or `exec:./program`
 * - `generateKey(scheme?): PrivateKey`, `privateKeyOf(keyObject): PrivateKey`
 * - `writeKeyFile(path, key, passphrase)`, `openKeyFile(path, passphrase): Promise<PrivateKey>`, `peekKeyFile(path): Promise<PublicKey>`
 * - `publicKeyOf(pem): PublicKey`, `hintOf(pem): string`
 */
export { KEY_ERRORS, KeyError, type KeyErrorCode } from './errors.ts';
export { hintOf, type PublicKey, publicKeyOf, type Scheme, schemeOf, type Signer } from './signer.ts';
export { checkedSigner } from './checked.ts';
export { generateKey, type PrivateKey, privateKeyOf } from './private-key.ts';
export { openKeyFile, peekKeyFile, SCRYPT_COST, type ScryptCost, writeKeyFile } from './key-file.ts';
export { type KeyHost, openSigner, passphraseIn } from './open-signer.ts';
export { openExec } from './exec.ts';
export { openPkcs11 } from './pkcs11.ts';
export { parsePkcs11Uri, type Pkcs11Uri } from './pkcs11-uri.ts';
export { type Environment, environmentFor, PROGRAM_TIMEOUT_MS, runProgram } from './program.ts';
