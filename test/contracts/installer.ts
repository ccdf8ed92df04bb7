/** What every installer promises, whatever writes the slots. Run by `installer-*.test.ts` over each adapter. */
import { createHash } from 'node:crypto';
import { appendFile, chmod, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Installer, VerifiedImage } from '@tidegate/client-sdk/install';

/** One charger with an installer, freshly provisioned. */
export interface InstallerBench {
  /** Opens the installer, as a process that starts does. */
  open(): Installer;
  /** The bytes of an installable image. */
  makeImage(version: string): Promise<Buffer>;
  /** Boots the charger. */
  boot(): Promise<void>;
  close(): Promise<void>;
}

export function installerContract(name: string, start: () => Promise<InstallerBench>): void {
  describe(`installer contract: ${name}`, () => {
    let bench: InstallerBench;
    let bytes: Buffer;
    let image: VerifiedImage;

    beforeEach(async () => {
      bench = await start();
      bytes = await bench.makeImage('1.1.0');
      image = verified(bytes, '1.1.0');
    });
    afterEach(() => bench.close());

    async function staged(): Promise<Installer> {
      const installer = bench.open();
      await fill(installer, image, bytes);
      await installer.install(image);
      return installer;
    }
    async function onTrial(): Promise<Installer> {
      const installer = await staged();
      await installer.activate(image);
      await bench.boot();
      return installer;
    }
    const bootedNow = async (): Promise<string | null | undefined> =>
      (await bench.open().status()).booted.image?.sha256;

    it('leaves an installed image unbootable until it is activated', async () => {
      const installer = await staged();
      const { inactive, activated } = await installer.status();
      expect(inactive.image?.sha256).toBe(image.sha256);
      expect(inactive.bootable).toBe(false);
      expect(activated).toBe(false);
      await bench.boot();
      expect(await bootedNow()).not.toBe(image.sha256);
    });

    it('boots an activated image on trial, with another boot id', async () => {
      const installer = await staged();
      const before = await installer.status();
      await installer.activate(image);
      await installer.activate(image);
      expect((await installer.status()).activated).toBe(true);
      await bench.boot();
      const after = await installer.status();
      expect(after.booted.image).toEqual({ sha256: image.sha256, version: '1.1.0', securityVersion: 3 });
      expect(after.trial).toBe(true);
      expect(after.bootId).not.toBe(before.bootId);
    });

    it('falls back from a trial that was not committed', async () => {
      const installer = await onTrial();
      await bench.boot();
      const { booted, inactive, trial } = await installer.status();
      expect(booted.image?.sha256).not.toBe(image.sha256);
      expect(trial).toBe(false);
      expect(inactive.bootable).toBe(false);
    });

    it('keeps a committed image over any number of boots', async () => {
      const installer = await onTrial();
      await installer.commit();
      await installer.commit();
      expect((await installer.status()).trial).toBe(false);
      for (let boots = 0; boots < 3; boots++) {
        await bench.boot();
        expect(await bootedNow()).toBe(image.sha256);
      }
    });

    it('goes back from a rejected trial, stays there, and does not let it be committed', async () => {
      const installer = await onTrial();
      await installer.reject();
      await installer.reject();
      await expect(installer.commit()).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
      for (let boots = 0; boots < 3; boots++) {
        await bench.boot();
        expect(await bootedNow()).not.toBe(image.sha256);
      }
    });

    it('does not touch the way back during a trial', async () => {
      const installer = await onTrial();
      await expect(installer.intake(image)).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
      await expect(installer.discard()).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
      expect((await installer.status()).inactive.bootable).toBe(true);
    });

    it('takes no other way out of a trial than a commit, a rejection or a boot', async () => {
      const first = await onTrial();
      await first.commit();
      const next = await bench.makeImage('1.2.0');
      const nextImage = verified(next, '1.2.0');
      await fill(first, nextImage, next);
      await first.install(nextImage);
      await first.activate(nextImage);
      await bench.boot();
      await expect(bench.open().activate(image)).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
      const { trial, activated } = await bench.open().status();
      expect({ trial, activated }).toEqual({ trial: true, activated: false });
    });

    it('rejects nothing that is committed', async () => {
      await expect(bench.open().reject()).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
    });

    it('refuses bytes that were swapped after the download', async () => {
      const installer = bench.open();
      const intake = await fill(installer, image, bytes);
      const swapped = Buffer.from(bytes);
      swapped[bytes.length >> 1] = (swapped[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(intake, swapped);
      await expect(installer.install(image)).rejects.toMatchObject({ code: 'IMAGE_DIGEST' });
      await neverBoots(installer);
    });

    it('refuses bytes that are missing or too many', async () => {
      const installer = bench.open();
      const short = await fill(installer, image, bytes.subarray(0, -1));
      await expect(installer.install(image)).rejects.toMatchObject({ code: 'IMAGE_LENGTH' });
      expect(short).toBeTypeOf('string');
      const long = await fill(installer, image, bytes);
      await chmod(long, 0o600);
      await appendFile(long, 'x');
      await expect(installer.install(image)).rejects.toMatchObject({ code: 'IMAGE_LENGTH' });
      await neverBoots(installer);
    });

    it('activates nothing that was not installed', async () => {
      const installer = bench.open();
      await expect(installer.activate(image)).rejects.toHaveProperty('code');
      await fill(installer, image, bytes);
      await neverBoots(installer);
    });

    it('is interrupted at each step, boots what it ran, and does it all again', async () => {
      await fill(bench.open(), image, bytes.subarray(0, 1000));
      await bench.boot();
      expect(await bootedNow()).not.toBe(image.sha256);
      await fill(bench.open(), image, bytes);
      await bench.boot();
      const installer = bench.open();
      await fill(installer, image, bytes);
      await installer.install(image);
      await bench.boot();
      expect(await bootedNow()).not.toBe(image.sha256);
      await bench.open().activate(image);
      await bench.boot();
      expect(await bootedNow()).toBe(image.sha256);
    });

    it('drops what is staged, and what is activated', async () => {
      const installer = await staged();
      await installer.activate(image);
      await installer.discard();
      expect((await installer.status()).activated).toBe(false);
      await bench.boot();
      expect(await bootedNow()).not.toBe(image.sha256);
      await expect(installer.activate(image)).rejects.toMatchObject({ code: 'INSTALL_FAILED' });
    });

    it('begins with an empty place where the slot held another image', async () => {
      const installer = bench.open();
      await fill(installer, image, bytes.subarray(0, 1000));
      const next = await bench.makeImage('1.2.0');
      const { files, file } = await installer.intake(verified(next, '1.2.0'));
      const handle = await files.open(file);
      expect(handle.size).toBe(0);
      await handle.close();
    });

    it('takes the next image into the slot that is free then', async () => {
      const installer = await onTrial();
      await installer.commit();
      const next = await bench.makeImage('1.2.0');
      const nextImage = verified(next, '1.2.0');
      await fill(installer, nextImage, next);
      await installer.install(nextImage);
      await installer.activate(nextImage);
      await bench.boot();
      expect(await bootedNow()).toBe(nextImage.sha256);
      await bench.boot();
      expect(await bootedNow()).toBe(image.sha256);
    });

    async function neverBoots(installer: Installer): Promise<void> {
      await expect(installer.activate(image)).rejects.toHaveProperty('code');
      await bench.boot();
      expect(await bootedNow()).not.toBe(image.sha256);
    }
  });
}

/** Writes an image as a download does: from where an earlier one stopped. Returns the path it went to. */
async function fill(installer: Installer, image: VerifiedImage, bytes: Buffer): Promise<string> {
  const { files, file } = await installer.intake(image);
  const handle = await files.open(file);
  await handle.append(bytes.subarray(handle.size));
  await handle.sync();
  await handle.close();
  return files.path(file);
}

function verified(bytes: Buffer, version: string): VerifiedImage {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { sha256, length: bytes.length, version, securityVersion: 3 };
}
