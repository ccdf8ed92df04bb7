import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rauc } from '@tidegate/client-sdk/install/rauc';
import { raucMissing, startRaucTestbed } from '../../rollout/simulation/sdk/rauc-testbed.ts';
import type { RaucTestbedOptions } from '../../rollout/simulation/sdk/rauc-testbed.ts';
import { installerContract } from './installer.ts';

const missing = raucMissing();

async function bench(options?: RaucTestbedOptions) {
  const folder = await mkdtemp(join(tmpdir(), 'tg-rauc-'));
  await mkdir(join(folder, 'bed'));
  const bed = await startRaucTestbed(join(folder, 'bed'), { slotBytes: 1024 * 1024, ...options });
  return {
    bed,
    open: () =>
      rauc({ busAddress: bed.busAddress, folder: join(folder, 'state'), bootId: () => bed.bootId() }),
    async makeImage(version: string) {
      const image = join(folder, `${version}.img`);
      await writeFile(image, randomBytes(200_000));
      return await readFile(await bed.makeBundle(image, version));
    },
    boot: async () => void (await bed.boot()),
    async close() {
      await bed.stop();
      await rm(folder, { recursive: true });
    },
  };
}

if (missing === undefined) {
  installerContract('rauc', bench);

  describe('rauc', () => {
    it('reports a bundle that RAUC itself refuses, and leaves the charger as it was', async () => {
      const charger = await bench();
      const stranger = await bench();
      try {
        const bytes = await stranger.makeImage('1.1.0');
        await expect(install(charger.open(), bytes)).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
        const { activated, inactive } = await charger.open().status();
        expect({ activated, bootable: inactive.bootable }).toEqual({ activated: false, bootable: false });
      } finally {
        await charger.close();
        await stranger.close();
      }
    });

    it('undoes and refuses an install that RAUC activated by itself', async () => {
      const careless = await bench({ activateInstalled: true });
      try {
        const bytes = await careless.makeImage('1.1.0');
        await expect(install(careless.open(), bytes)).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
        expect((await careless.open().status()).activated).toBe(false);
        expect(await careless.bed.boot()).toBe('A');
      } finally {
        await careless.close();
      }
    });
  });
} else if (process.env['CI'] === 'true') {
  it('RAUC is there', () => expect(missing).toBeUndefined());
} else {
  it.skip(`rauc: ${missing}`, () => undefined);
}

async function install(installer: ReturnType<typeof rauc>, bytes: Buffer): Promise<void> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const image = { sha256, length: bytes.length, version: '1.1.0', securityVersion: 3 };
  const { files, file } = await installer.intake(image);
  const handle = await files.open(file);
  await handle.append(bytes);
  await handle.close();
  await installer.install(image);
}
