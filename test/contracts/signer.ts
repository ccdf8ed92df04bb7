/** What every Signer must do, wherever its key is kept. */
import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { canonicalBytes, keyIdOf, tufKeyOf, verifyThreshold } from '@tidegate/client-sdk/trust';
import { attestProvenance } from '@tidegate/signer/attest';
import { hintOf, KEY_ERRORS, KeyError, type Scheme, type Signer } from '@tidegate/signer/keys';
import {
  addSignature,
  encode,
  newSnapshot,
  newTargets,
  newTimestamp,
  signatureStatus,
} from '@tidegate/signer/repository';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectVerified } from '../support/bundles.ts';

export interface SignerBench {
  scheme: Scheme;
  open(): Promise<Signer>;
  /** Longest message that it can sign, in bytes. Default: none. */
  longest?: number;
}

const NOW = Date.parse('2026-11-22T12:00:00Z');

/** @param bench the same key at each `open`. */
export function signerContract(name: string, bench: () => Promise<SignerBench>): void {
  describe(`signer contract: ${name}`, () => {
    let signer: Signer;
    let opened: SignerBench;
    beforeAll(async () => {
      opened = await bench();
      signer = await opened.open();
    });

    it('names its key by what is computed from the public key', () => {
      expect(signer.scheme).toBe(opened.scheme);
      expect(signer.keyId).toBe(keyIdOf(tufKeyOf(signer.publicKey)));
      const pem = createPublicKey(signer.publicKey).export({ type: 'spki', format: 'pem' });
      expect(signer.publicKey).toBe(pem);
    });

    it.each([0, 1, 32, 1000, 100_000])('signs a message of %i bytes, or says why not', async (length) => {
      const message = randomBytes(length);
      if (length > (opened.longest ?? Infinity)) {
        await expect(signer.sign(message)).rejects.toMatchObject({ code: 'TOKEN_MESSAGE_TOO_LONG' });
        return;
      }
      const signature = await signer.sign(message);
      const digest = signer.scheme === 'ed25519' ? null : 'sha256';
      expect(verify(digest, message, signer.publicKey, signature)).toBe(true);
    });

    it('signs several at once, each its own', async () => {
      const messages = Array.from({ length: 4 }, () => randomBytes(64));
      const signatures = await Promise.all(messages.map((message) => signer.sign(message)));
      const digest = signer.scheme === 'ed25519' ? null : 'sha256';
      for (const [i, message] of messages.entries()) {
        expect(verify(digest, message, signer.publicKey, signatures[i] ?? Buffer.alloc(0))).toBe(true);
      }
    });

    it('is the same key when it is opened again', async () => {
      const again = await opened.open();
      expect({ id: again.keyId, hint: hintOf(again.publicKey) }).toEqual({
        id: signer.keyId,
        hint: hintOf(signer.publicKey),
      });
    });

    it('signs a TUF role so that a charger counts it', async () => {
      const key = tufKeyOf(signer.publicKey);
      const role = {
        name: 'timestamp',
        keys: new Map([[signer.keyId, key]]),
        keyids: [signer.keyId],
        threshold: 1,
      };
      const snapshot = encode(newSnapshot({ targets: newTargets(NOW), products: new Map() }, 1, NOW));
      const signed = await addSignature(newTimestamp(snapshot, 1, NOW), role, signer);
      expect(signatureStatus(signed, role)).toMatchObject({ signed: [signer.keyId], complete: true });
      verifyThreshold(signed, role.keys, role.keyids, 1);
      expect(canonicalBytes(signed.signed).length).toBeLessThan(1000);
    });

    it('signs a Sigstore bundle that an independent verifier and a charger accept', async () => {
      const bundle = await attestProvenance({ ...SMALL_BUILD, signer });
      expect(expectVerified(bundle, signer, SMALL_BUILD.image.sha256).signer).toBe(hintOf(signer.publicKey));
    });
  });
}

/** Short, so that its statement fits into what every token can sign. */
export const SMALL_BUILD = {
  image: { name: 'fw.bin', sha256: 'c'.repeat(64) },
  parameters: { product: 'acme.dc150', version: '1.2.0', hardware: ['dc150-r2'], securityVersion: 3 },
  builder: 'urn:tidegate:builder:test',
};

/** What a program does when it is asked to sign, instead of signing. */
export const SABOTAGE = {
  'a wrong signature': [
    "process.stdout.write(crypto.randomBytes(64).toString('base64'))",
    'KEY_SIGNATURE_WRONG',
  ],
  'a signature by another key': ['OTHER_KEY', 'KEY_SIGNATURE_WRONG'],
  nothing: ['', 'PROGRAM_ANSWER'],
  'endless output': ["for (;;) fs.writeSync(1, 'AAAA'.repeat(1000))", 'PROGRAM_ANSWER'],
  'an endless complaint': ["for (;;) fs.writeSync(2, 'AAAA'.repeat(1000))", 'PROGRAM_TIMEOUT'],
  silence: ['setInterval(() => {}, 1000)', 'PROGRAM_TIMEOUT'],
  'a child that outlives it, and silence': [
    "spawnSync('sleep', ['600'], { stdio: 'inherit' })",
    'PROGRAM_TIMEOUT',
  ],
  'a failure': ["console.error('the key is locked'); process.exit(3)", 'PROGRAM_FAILED'],
  'a crash': ["process.kill(process.pid, 'SIGKILL')", 'PROGRAM_FAILED'],
} as const;

/** @param open the key behind a program that runs this JavaScript when it is asked to sign; it may take a second. */
export function sabotageContract(name: string, open: (script: string) => Promise<Signer>): void {
  it.each(Object.entries(SABOTAGE))(`${name}: %s is refused, with what to do`, async (_, [script, code]) => {
    const signer = await open(script);
    const error: unknown = await signer.sign(Buffer.from('message')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(KeyError);
    expect(error).toMatchObject({ code });
    expect((error as KeyError).message).toContain(KEY_ERRORS[code]);
  });
}
