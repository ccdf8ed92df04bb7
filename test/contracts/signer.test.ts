/** Every adapter of the port Signer against its contract, and against programs and tokens that mean harm. */
import { createPrivateKey, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkedSigner, generateKey, openSigner, type Scheme, writeKeyFile } from '@tidegate/signer/keys';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeProgram } from '../support/programs.ts';
import { sabotageContract, signerContract } from './signer.ts';

const SCHEMES: Scheme[] = ['ed25519', 'ecdsa-sha2-nistp256'];
const COST = { N: 16, r: 1, p: 1 };
/** What a program may take here before it counts as silent. */
const PATIENCE = { TIDEGATE_KEY_TIMEOUT: '2' };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate signer '));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(SCHEMES)('%s', (scheme) => {
  const key = generateKey(scheme);
  const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const digest = scheme === 'ed25519' ? 'null' : "'sha256'";
  const signing = (which: string) =>
    `process.stdout.write(crypto.sign(${digest}, input(), ${JSON.stringify(which)}).toString('base64') + '\\n')`;
  const kms = (script: string) =>
    `if (args[0] === 'public-key') process.stdout.write(${JSON.stringify(key.publicKey)}); else { ${script} }`;
  const env = { ...process.env, ...PATIENCE };
  let named = 0;
  const behind = async (script: string) => {
    const name = `kms-${scheme}-${(named += 1)}`;
    await writeProgram(folder, name, kms(script));
    return openSigner(`exec:./${name}`, { cwd: folder, env });
  };

  signerContract(`encrypted file, ${scheme}`, async () => {
    const path = join(folder, `${scheme}.key.json`);
    await writeKeyFile(path, key, 'pass', { cost: COST });
    return {
      scheme,
      open: () => openSigner(`${scheme}.key.json`, { cwd: folder, env: { TIDEGATE_PASSPHRASE: 'pass' } }),
    };
  });

  signerContract(`external command, ${scheme}`, async () => {
    await writeProgram(folder, `kms-${scheme}`, kms(signing(pem)));
    return { scheme, open: () => openSigner(`exec:./kms-${scheme}`, { cwd: folder, env: process.env }) };
  });

  const other = generateKey(scheme).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  sabotageContract(`external command, ${scheme}`, (script) =>
    behind(script.replace('OTHER_KEY', signing(other))),
  );

  it('a signer in this process that signs with another key, or nothing, is found out', async () => {
    const stranger = createPrivateKey(other);
    const lying = checkedSigner(key, 'the key', (bytes) =>
      Promise.resolve(sign(scheme === 'ed25519' ? null : 'sha256', bytes, stranger)),
    );
    const empty = checkedSigner(key, 'the key', () => Promise.resolve(Buffer.alloc(0)));
    for (const signer of [lying, empty]) {
      await expect(signer.sign(Buffer.from('x'))).rejects.toMatchObject({ code: 'KEY_SIGNATURE_WRONG' });
    }
  });
});

describe('an external command', () => {
  const open = (reference: string, env: Record<string, string | undefined> = {}) =>
    openSigner(reference, { cwd: folder, env: { ...process.env, ...env } });

  it.each([
    ['no key', "process.stdout.write('hello')", 'PROGRAM_ANSWER'],
    [
      'a private key',
      'process.stdout.write(crypto.generateKeyPairSync("ed25519").privateKey.export({type:"pkcs8",format:"pem"}))',
      'PROGRAM_ANSWER',
    ],
    [
      'a key of another kind',
      'process.stdout.write(crypto.generateKeyPairSync("rsa",{modulusLength:2048}).publicKey.export({type:"spki",format:"pem"}))',
      'KEY_SCHEME',
    ],
    ['no end', "for (;;) fs.writeSync(1, 'A'.repeat(4000))", 'PROGRAM_ANSWER'],
    ['an error', "console.error('no\\u001b[2J such key'); process.exit(1)", 'PROGRAM_FAILED'],
  ])('that answers %s instead of a public key is refused', async (_, script, code) => {
    await writeProgram(folder, 'odd', script);
    const error: unknown = await open('exec:./odd').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect((error as Error).message).not.toContain('\u001b');
  });

  it('must be there, be executable, and be named', async () => {
    await writeFile(join(folder, 'text'), 'no program');
    await expect(open('exec:./none')).rejects.toMatchObject({ code: 'PROGRAM_MISSING' });
    await expect(open('exec:./text')).rejects.toMatchObject({ code: 'PROGRAM_MISSING' });
    await expect(open('exec:')).rejects.toMatchObject({ code: 'KEY_REFERENCE' });
    // Only a path counts: nothing is searched in PATH, and nothing is read by a shell.
    await expect(open('exec:true')).rejects.toMatchObject({ code: 'PROGRAM_MISSING' });
    await expect(open('exec:./kms; touch here')).rejects.toMatchObject({ code: 'PROGRAM_MISSING' });
    await expect(open('exec:./none', { TIDEGATE_KEY_TIMEOUT: 'soon' })).rejects.toMatchObject({
      code: 'KEY_REFERENCE',
    });
  });

  it('that hangs ends with all that it started', async () => {
    await writeProgram(
      folder,
      'parent',
      `const child = spawn('sleep', ['600'], { stdio: 'inherit' });
       fs.writeFileSync(${JSON.stringify(join(folder, 'child.pid'))}, String(child.pid));`,
    );
    await expect(open('exec:./parent', { TIDEGATE_KEY_TIMEOUT: '1' })).rejects.toMatchObject({
      code: 'PROGRAM_TIMEOUT',
    });
    const pid = await readFile(join(folder, 'child.pid'), 'utf8');
    // Whoever adopts orphans here may leave a zombie; that is gone too.
    await vi.waitFor(async () => {
      const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone');
      expect(state).toMatch(/^gone$|\) Z /);
    }, 10_000);
  });

  it('sees the digest and the environment, and none of our secrets', async () => {
    const key = generateKey('ecdsa-sha2-nistp256');
    const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await writeProgram(
      folder,
      'curious',
      `if (args[0] === 'public-key') process.stdout.write(${JSON.stringify(key.publicKey)});
       else {
         const bytes = input();
         const { TIDEGATE_PASSPHRASE, TIDEGATE_CREDENTIAL, TIDEGATE_SHA256, AWS_REGION } = process.env;
         const sha256 = crypto.createHash('sha256').update(bytes).digest('hex');
         if (TIDEGATE_PASSPHRASE || TIDEGATE_CREDENTIAL || TIDEGATE_SHA256 !== sha256 || AWS_REGION !== 'x') process.exit(9);
         process.stdout.write(crypto.sign('sha256', bytes, ${JSON.stringify(pem)}).toString('base64'));
       }`,
    );
    const env = { TIDEGATE_PASSPHRASE: 'p', TIDEGATE_CREDENTIAL: 'c', AWS_REGION: 'x' };
    const signer = await open('exec:./curious', env);
    expect((await signer.sign(Buffer.from('message'))).length).toBeGreaterThan(60);
  });
});
