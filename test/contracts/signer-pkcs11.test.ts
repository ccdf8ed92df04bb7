/** The PKCS#11 adapter against its contract with a real SoftHSM token, and against a tool and a token that mean harm. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TrustedSet, tufKeyOf } from '@tidegate/client-sdk/trust';
import {
  generateKey,
  KeyError,
  openPkcs11,
  openSigner,
  parsePkcs11Uri,
  type Signer,
} from '@tidegate/signer/keys';
import { addSignature, encode, newRoot } from '@tidegate/signer/repository';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeProgram } from '../support/programs.ts';
import { PIN, testToken, type TestToken, WITHOUT_SOFTHSM } from '../support/softhsm.ts';
import { sabotageContract, signerContract } from './signer.ts';

if (WITHOUT_SOFTHSM === undefined) {
  let token: TestToken;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidegate pkcs11 '));
    token = await testToken();
    token.addKey('ecdsa-sha2-nistp256', 'release key', '01');
    token.addKey('ed25519', 'release key ed', '02ff');
  });
  afterAll(async () => {
    await token.close();
    await rm(folder, { recursive: true, force: true });
  });

  const uri = (rest: string) => `pkcs11:token=tidegate%20test;${rest}?module-path=${token.module}`;
  const open = (rest = 'object=release%20key', env: Record<string, string> = {}) =>
    openSigner(uri(rest), { cwd: folder, env: { ...token.env, ...env } });

  signerContract('PKCS#11, P-256', () =>
    Promise.resolve({ scheme: 'ecdsa-sha2-nistp256', open: () => open() }),
  );
  signerContract('PKCS#11, Ed25519', () =>
    Promise.resolve({ scheme: 'ed25519', open: () => open('id=%02%ff;type=private'), longest: 1024 }),
  );

  it('P-256 keys in a token hold root and every role of a repository that a charger starts from', async () => {
    const signer = await open();
    const quorum = { keys: [signer], threshold: 1 };
    const roles = { root: quorum, targets: quorum, snapshot: quorum, timestamp: quorum };
    const root = newRoot(roles, Date.now());
    const { keytype, scheme } = tufKeyOf(signer.publicKey);
    expect({ keytype, scheme }).toEqual({ keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' });
    const role = { name: 'root', keys: new Map(Object.entries(root.signed.keys)), ...root.signed.roles.root };
    const bytes = encode(await addSignature(root, role, signer));
    expect(TrustedSet.start(bytes).root.version).toBe(1);
  });

  it('takes turns also where several keys are opened and used at once', async () => {
    const signers = await Promise.all(Array.from({ length: 8 }, () => open()));
    const signatures = await Promise.all(signers.map((signer) => signer.sign(Buffer.from('at once'))));
    expect(signatures).toHaveLength(8);
  });

  describe('a token', () => {
    it('is found by all that its tools say of it, and refused where one of it differs', async () => {
      const whole = `manufacturer=SoftHSM%20project;model=SoftHSM%20v2;serial=${token.serial()};id=%01;object=release%20key`;
      expect((await open(whole)).keyId).toBe((await open()).keyId);
      for (const other of ['serial=00', 'model=other', 'manufacturer=other', 'slot-id=77']) {
        await expect(open(`${other};object=release%20key`)).rejects.toMatchObject({
          code: 'TOKEN_NOT_FOUND',
        });
      }
    });

    it('is not guessed among several', async () => {
      token.addToken('second');
      token.addToken('second');
      const env = token.env;
      const any = openSigner(`pkcs11:object=x?module-path=${token.module}`, { cwd: folder, env });
      await expect(any).rejects.toMatchObject({ code: 'TOKEN_AMBIGUOUS' });
      const second = openSigner(`pkcs11:token=second;object=x?module-path=${token.module}`, {
        cwd: folder,
        env,
      });
      await expect(second).rejects.toMatchObject({ code: 'TOKEN_AMBIGUOUS' });
      await expect(open()).resolves.toMatchObject({ scheme: 'ecdsa-sha2-nistp256' });
    });

    it('without the key, of another kind, or without its library is refused', async () => {
      await expect(open('object=none')).rejects.toMatchObject({ code: 'TOKEN_KEY_MISSING' });
      await expect(open('object=release%20key;id=%02')).rejects.toMatchObject({ code: 'TOKEN_KEY_MISSING' });
      token.tool('--keypairgen', '--key-type', 'rsa:2048', '--label', 'rsa', '--id', '03');
      await expect(open('object=rsa')).rejects.toMatchObject({ code: 'KEY_SCHEME' });
      const gone = openSigner('pkcs11:token=x;object=y?module-path=/none.so', {
        cwd: folder,
        env: token.env,
      });
      await expect(gone).rejects.toMatchObject({ code: 'PROGRAM_FAILED' });
    });

    it('that holds half of a key is refused', async () => {
      token.addKey('ecdsa-sha2-nistp256', 'no public half', '0a');
      token.tool('--delete-object', '--type', 'pubkey', '--id', '0a');
      await expect(open('object=no%20public%20half')).rejects.toMatchObject({ code: 'TOKEN_KEY_MISSING' });
      token.addKey('ecdsa-sha2-nistp256', 'no private half', '0b');
      token.tool('--delete-object', '--type', 'privkey', '--id', '0b');
      await expect(open('object=no%20private%20half')).rejects.toMatchObject({ code: 'TOKEN_KEY_MISSING' });
    });

    it('that holds two keys under one name never signs with the wrong one', async () => {
      token.addKey('ecdsa-sha2-nistp256', 'twin', '0c');
      token.addKey('ecdsa-sha2-nistp256', 'twin', '0d');
      await expect(open('object=twin')).rejects.toMatchObject({ code: 'TOKEN_AMBIGUOUS' });
      const [one, two] = [await open('object=twin;id=%0c'), await open('id=%0d')];
      expect(one.keyId).not.toBe(two.keyId);
      expect((await two.sign(Buffer.from('x'))).length).toBeGreaterThan(60);
      // Now the public half of one stands beside the private half of the other.
      token.tool('--delete-object', '--type', 'pubkey', '--id', '0c');
      token.tool('--set-id', '0c', '--type', 'pubkey', '--id', '0d');
      const mixed = await open('id=%0c');
      await expect(mixed.sign(Buffer.from('x'))).rejects.toMatchObject({ code: 'KEY_SIGNATURE_WRONG' });
    });
  });

  it('does one thing at a time, as tokens do', async () => {
    const calls = join(folder, 'overlaps');
    const tool = await writeProgram(
      folder,
      'slow-tool',
      `fs.appendFileSync(${JSON.stringify(calls)}, '(');
       const { status, stdout } = run('pkcs11-tool', args, input());
       setTimeout(() => { fs.appendFileSync(${JSON.stringify(calls)}, ')'); process.stdout.write(stdout); process.exitCode = status; }, 100);`,
    );
    const signer = await openPkcs11(parsePkcs11Uri(uri('object=release%20key')), { env: token.env, tool });
    await Promise.all(['a', 'b', 'c'].map((text) => signer.sign(Buffer.from(text))));
    expect(await readFile(calls, 'utf8')).toMatch(/^(\(\)){6}$/);
  });

  describe('the PIN', () => {
    it('comes from a file too, and is asked for where there is none', async () => {
      await writeFile(join(folder, 'pin'), `${PIN}\n`, { mode: 0o600 });
      const source = encodeURIComponent(`file:${join(folder, 'pin')}`);
      const env = { ...token.env, TIDEGATE_PKCS11_PIN: '' };
      const from = (path: string) =>
        openSigner(`${uri('object=release%20key')}&pin-source=${path}`, { cwd: folder, env });
      expect((await from(source)).keyId).toBe((await open()).keyId);
      await expect(from('file:/none')).rejects.toMatchObject({ code: 'TOKEN_PIN_MISSING' });
      await expect(open(undefined, { TIDEGATE_PKCS11_PIN: '' })).rejects.toMatchObject({
        code: 'TOKEN_PIN_MISSING',
      });
    });

    it('is tried once when it is wrong', async () => {
      const calls = join(folder, 'calls');
      const tool = await writeProgram(
        folder,
        'counting-tool',
        `fs.appendFileSync(${JSON.stringify(calls)}, args.includes('--login') ? 'L' : '-');
         const { status, stdout } = run('pkcs11-tool', args, input());
         process.stdout.write(stdout); process.exit(status);`,
      );
      const env = { ...token.env, TIDEGATE_PKCS11_PIN: '11112222' };
      const opening = openPkcs11(parsePkcs11Uri(uri('object=release%20key')), { env, tool });
      await expect(opening).rejects.toMatchObject({ code: 'TOKEN_PIN' });
      expect(await readFile(calls, 'utf8')).toBe('-L');
    });

    it('is on no command line and in no error, whatever the tool does', async () => {
      const seen = join(folder, 'seen');
      const tool = await writeProgram(
        folder,
        'telling-tool',
        `fs.appendFileSync(${JSON.stringify(seen)}, args.join(' ') + '\\n');
         if (args.includes('--sign')) { console.error('my PIN is ' + process.env.PKCS11_TOOL_PIN); process.exit(1); }
         const { status, stdout } = run('pkcs11-tool', args, input());
         process.stdout.write(stdout); process.exit(status);`,
      );
      const signer = await openPkcs11(parsePkcs11Uri(uri('object=release%20key')), { env: token.env, tool });
      const error: unknown = await signer.sign(Buffer.from('x')).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(KeyError);
      expect((error as Error).message).toContain('my PIN is …');
      const lines = await readFile(seen, 'utf8');
      expect(lines).toContain('--pin env:PKCS11_TOOL_PIN');
      expect(lines).not.toContain(PIN);
    });
  });

  const other = generateKey('ecdsa-sha2-nistp256').privateKey.export({ type: 'pkcs8', format: 'pem' });
  let named = 0;
  sabotageContract('PKCS#11', async (script): Promise<Signer> => {
    const lying = script.replace(
      'OTHER_KEY',
      `process.stdout.write(crypto.sign('sha256', Buffer.from('message'), ${JSON.stringify(other)}))`,
    );
    const tool = await writeProgram(
      folder,
      `tool-${(named += 1)}`,
      `if (args.includes('--sign')) { ${lying} }
       else { const { status, stdout } = run('pkcs11-tool', args, input()); process.stdout.write(stdout); process.exitCode = status; }`,
    );
    const env = { ...token.env, TIDEGATE_KEY_TIMEOUT: '2' };
    return openPkcs11(parsePkcs11Uri(uri('object=release%20key')), { env, tool });
  });

  it('says that pkcs11-tool is missing', async () => {
    await expect(
      openPkcs11(parsePkcs11Uri(uri('object=release%20key')), { env: token.env, tool: '/none/pkcs11-tool' }),
    ).rejects.toMatchObject({ code: 'PROGRAM_MISSING' });
  });
} else if (process.env['CI'] === 'true') {
  it('SoftHSM is there', () => expect(WITHOUT_SOFTHSM).toBeUndefined());
} else {
  it.skip(`PKCS#11: ${WITHOUT_SOFTHSM}`, () => undefined);
}
