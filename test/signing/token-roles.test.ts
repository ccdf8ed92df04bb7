/** A product whose engineers' keys are in a token: `release propose` and `cosign`, as they type it, and what a charger makes of the role. */
import { writeFile } from 'node:fs/promises';
import { keyIdOf, tufKeyOf } from '@tidegate/client-sdk/trust';
import { openKeyFile, openSigner, passphraseIn, type Signer } from '@tidegate/signer/keys';
import {
  addSignature,
  bump,
  checkSigned,
  delegateProduct,
  productRole,
  readWorkingCopy,
  releasesOf,
  type Targets,
  topLevelRole,
  writeDocument,
} from '@tidegate/signer/repository';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Desk, openDesk } from '../../signer/commands/desk.fixture.ts';
import { testToken, type TestToken, WITHOUT_SOFTHSM } from '../support/softhsm.ts';

const PRODUCT = 'acme.dc150';
const SAID = ['--product', PRODUCT, '--version', '1.2.0', '--hardware', 'r1', '--security-version', '3'];
const HOLDERS = ['erin', 'frank'];

if (WITHOUT_SOFTHSM === undefined) {
  describe('a product role whose keys are in a token', () => {
    let token: TestToken;
    let desk: Desk;
    beforeAll(async () => {
      token = await testToken();
      HOLDERS.forEach((name, i) => token.addKey('ecdsa-sha2-nistp256', name, `0${i + 1}`));
    });
    afterAll(() => token.close());
    beforeEach(async () => {
      desk = await openDesk();
      Object.assign(desk.env, token.env);
      await desk.run('init');
      await desk.run('product', 'add', PRODUCT, '--hardware', 'r1');
    });
    afterEach(() => desk.close());

    const reference = (name: string) =>
      `pkcs11:token=tidegate%20test;object=${name}?module-path=${token.module}`;

    it('is signed there, and verifies', async () => {
      const repository = desk.path('.tidegate/repository');
      await handOver(desk, repository, await open(desk, HOLDERS.map(reference)));
      await writeFile(desk.path('fw.bin'), 'firmware');
      expect((await desk.run('sign', 'fw.bin', ...SAID)).exit).toBe(0);
      const bundle = ['--bundle', 'fw.bin.sigstore.json'];
      const [erin = '', frank = ''] = HOLDERS.map(reference);
      const proposed = await desk.run('release', 'propose', 'fw.bin', ...bundle, ...SAID, '--key', erin);
      expect(proposed, JSON.stringify(proposed.json)).toMatchObject({ exit: 0 });
      const again = await desk.run('release', 'cosign', `${PRODUCT}@1.2.0`, '--key', erin);
      expect(again).toMatchObject({ exit: 1 });
      const { json } = await desk.run('release', 'cosign', `${PRODUCT}@1.2.0`, '--key', frank);
      expect(json).toMatchObject({ complete: true });

      const { targets, products } = await readWorkingCopy(repository);
      const role = products.get(PRODUCT)!.metadata;
      checkSigned(role, productRole(targets.metadata, PRODUCT));
      expect(role.signatures.map(({ keyid }) => keyid).sort()).toEqual(
        (await open(desk, HOLDERS.map(reference)))
          .map(({ publicKey }) => keyIdOf(tufKeyOf(publicKey)))
          .sort(),
      );
      expect(releasesOf(role).map(({ custom }) => custom.version)).toEqual(['1.2.0']);
    });
  });
} else if (process.env['CI'] === 'true') {
  it('SoftHSM is there', () => expect(WITHOUT_SOFTHSM).toBeUndefined());
} else {
  it.skip(`a product role whose keys are in a token: ${WITHOUT_SOFTHSM}`, () => undefined);
}

function open(desk: Desk, references: string[]): Promise<Signer[]> {
  return Promise.all(
    references.map((reference) => openSigner(reference, { env: desk.env, cwd: desk.folder })),
  );
}

/** What a ceremony does: the targets' quorum gives the product to other keys, and these sign its role. */
async function handOver(desk: Desk, repository: string, keys: Signer[]): Promise<void> {
  const { root, targets, products } = await readWorkingCopy(repository);
  const without: Targets = {
    ...targets.metadata.signed,
    delegations: { keys: {}, roles: [] },
  };
  const delegated = delegateProduct({ signed: without, signatures: [] }, PRODUCT, { keys, threshold: 2 });
  let next = bump(delegated, 'targets', desk.now);
  const role = topLevelRole(root.metadata, 'targets');
  for (const name of HOLDERS) {
    const folder = desk.path('.tidegate/keys', name);
    const key = await openKeyFile(`${folder}/targets.key.json`, await passphraseIn(folder));
    next = await addSignature(next, role, key);
  }
  let own = bump(products.get(PRODUCT)!.metadata, 'product', desk.now);
  for (const key of keys) own = await addSignature(own, productRole(next, PRODUCT), key);
  await writeDocument(repository, PRODUCT, own);
  await writeDocument(repository, 'targets', next);
}
