/**
 * Keys that sign: the port `Signer`, and the adapter that keeps a key in an encrypted file.
 *
 * - `generateKey(scheme?): PrivateKey`, `privateKeyOf(keyObject): PrivateKey`
 * - `writeKeyFile(path, key, passphrase)`, `openKeyFile(path, passphrase): Promise<PrivateKey>`, `peekKeyFile(path): Promise<PublicKey>`
 * - `publicKeyOf(pem): PublicKey`, `hintOf(pem): string`
 */
export { KEY_ERRORS, KeyError, type KeyErrorCode } from './errors.ts';
export { hintOf, type PublicKey, publicKeyOf, type Scheme, schemeOf, type Signer } from './signer.ts';
export { generateKey, type PrivateKey, privateKeyOf } from './private-key.ts';
export { openKeyFile, peekKeyFile, SCRYPT_COST, type ScryptCost, writeKeyFile } from './key-file.ts';
