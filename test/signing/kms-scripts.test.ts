/** The scripts in docs/examples against stand-ins for the vendors' command lines, which take the same options and really sign. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKey, openSigner } from '@tidegate/signer/keys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signerContract } from '../contracts/signer.ts';
import { writeProgram } from '../support/programs.ts';

const EXAMPLES = join(import.meta.dirname, '..', '..', 'docs', 'examples');
const key = generateKey('ecdsa-sha2-nistp256');
const PEM = key.privateKey.export({ type: 'pkcs8', format: 'pem' });
const PRIVATE = JSON.stringify(PEM);
const PUBLIC = JSON.stringify(key.publicKey);
/** A signature over a digest, which Node's own `sign` does not make. */
const SIGN_DIGEST = `const signDigest = (digest) => {
  if (digest.length !== 32) { console.error('not 32 bytes'); process.exit(1); }
  return run('openssl', ['pkeyutl', '-sign', '-inkey', process.env.TMPDIR + '/private.pem'], digest).stdout;
};`;

const VENDORS = {
  aws: {
    script: 'sign-with-aws-kms.sh',
    env: { AWS_KMS_KEY_ID: 'alias/dc150' },
    program: `${SIGN_DIGEST}
      const is = (...wanted) => wanted.every((word) => args.includes(word));
      if (!is('kms', '--key-id', 'alias/dc150', '--output', 'text')) process.exit(252);
      if (args[1] === 'get-public-key' && option('--query') === 'PublicKey')
        console.log(crypto.createPublicKey(${PUBLIC}).export({ type: 'spki', format: 'der' }).toString('base64'));
      else if (args[1] === 'sign' && is('--message-type', 'DIGEST', '--signing-algorithm', 'ECDSA_SHA_256') && option('--query') === 'Signature')
        console.log(signDigest(fs.readFileSync(option('--message').replace(/^fileb:\\/\\//, ''))).toString('base64'));
      else process.exit(252);`,
  },
  gcloud: {
    script: 'sign-with-gcp-kms.sh',
    env: {
      GCP_KMS_LOCATION: 'europe-west3',
      GCP_KMS_KEYRING: 'release',
      GCP_KMS_KEY: 'dc150',
      GCP_KMS_VERSION: '3',
    },
    program: `console.log('Using project [acme].');
      if (option('--location') !== 'europe-west3' || option('--keyring') !== 'release' || option('--key') !== 'dc150') process.exit(1);
      if (args.slice(0, 5).join(' ') === 'kms keys versions get-public-key 3') fs.writeFileSync(option('--output-file'), ${PUBLIC});
      else if (args.slice(0, 2).join(' ') === 'kms asymmetric-sign' && option('--version') === '3' && option('--digest-algorithm') === 'sha256') {
        const signature = crypto.sign('sha256', fs.readFileSync(option('--input-file')), ${PRIVATE});
        fs.writeFileSync(option('--signature-file'), process.env.WRITES_BASE64 ? signature.toString('base64') : signature);
      } else process.exit(2);`,
  },
  az: {
    script: 'sign-with-azure-key-vault.sh',
    env: { AZURE_KEY_ID: 'https://release.vault.azure.net/keys/dc150/0123' },
    program: `console.error('WARNING: a newer version is available.');
      if (option('--id') !== process.env.AZURE_KEY_ID) process.exit(1);
      if (args.slice(0, 3).join(' ') === 'keyvault key download' && option('--encoding') === 'PEM') {
        if (fs.existsSync(option('--file'))) process.exit(1);
        fs.writeFileSync(option('--file'), ${PUBLIC});
      } else if (args.slice(0, 3).join(' ') === 'keyvault key sign' && option('--algorithm') === 'ES256' && option('--query') === 'signature') {
        ${SIGN_DIGEST}
        const der = signDigest(Buffer.from(option('--digest'), 'base64'));
        const number = (at) => [der.subarray(at + 2, at + 2 + der[at + 1]), at + 2 + der[at + 1]];
        const [r, next] = number(2);
        const [s] = number(next);
        const fixed = (n) => Buffer.concat([Buffer.alloc(32), n]).subarray(-32);
        console.log(Buffer.concat([fixed(r), fixed(s)]).toString('base64'));
      } else process.exit(2);`,
  },
} as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate kms '));
  for (const [vendor, { program, script }] of Object.entries(VENDORS)) {
    await mkdir(join(folder, vendor));
    await writeProgram(join(folder, vendor), vendor, program);
    await writeFile(join(folder, vendor, 'private.pem'), PEM);
    await symlink(join(EXAMPLES, script), join(folder, vendor, 'sign'));
  }
});
afterAll(() => rm(folder, { recursive: true }));

function open(vendor: keyof typeof VENDORS, more: Record<string, string> = {}) {
  const cwd = join(folder, vendor);
  const PATH = `${cwd}:${process.env['PATH']}`;
  return openSigner('exec:./sign', {
    cwd,
    env: { ...process.env, PATH, TMPDIR: cwd, ...VENDORS[vendor].env, ...more },
  });
}

describe.each(Object.keys(VENDORS) as (keyof typeof VENDORS)[])('%s', (vendor) => {
  signerContract(`script for ${vendor}`, () =>
    Promise.resolve({ scheme: 'ecdsa-sha2-nistp256', open: () => open(vendor) }),
  );

  it('says what has to be set, and what the vendor said', async () => {
    const [name = ''] = Object.keys(VENDORS[vendor].env);
    const unset: unknown = await open(vendor, { [name]: '' }).catch((error: unknown) => error);
    expect(unset).toMatchObject({ code: 'PROGRAM_FAILED' });
    expect((unset as Error).message).toContain(`Set ${name}`);
    // az compares with the same variable, so that only the others notice.
    if (vendor !== 'az')
      await expect(open(vendor, { [name]: 'x' })).rejects.toMatchObject({ code: 'PROGRAM_FAILED' });
  });
});

it('what gcloud writes may be base64, as its help says', async () => {
  const signer = await open('gcloud', { WRITES_BASE64: '1' });
  expect((await signer.sign(Buffer.from('message'))).length).toBeGreaterThan(60);
});

it('numbers with leading zeros, and such that read as negative, come out of Azure as DER', async () => {
  const signer = await open('az');
  // Half of all r and s begin with a set bit; each signature is verified before it is handed out.
  for (let i = 0; i < 6; i += 1) await signer.sign(Buffer.from([i]));
});
