import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Refusal } from '../protocol/index.ts';
import { memoryFiles, PowerCut } from '../trust/testing/memory-files.ts';
import type { Loss, MemoryFiles } from '../trust/testing/memory-files.ts';
import type { VerifiedImage } from './installer.ts';
import { parseBootRecord } from './boot-record.ts';
import { bootSelect, provisionSlots, slotFiles } from './slot-files.ts';

const FACTORY = { sha256: null, version: '1.0.0', securityVersion: 1 };
const BYTES = Buffer.from('an image, more or less');
const imageOf = (bytes: Buffer): VerifiedImage => ({
  sha256: createHash('sha256').update(bytes).digest('hex'),
  length: bytes.length,
  version: '1.1.0',
  securityVersion: 2,
});
const IMAGE = imageOf(BYTES);

async function charger(): Promise<MemoryFiles> {
  const files = memoryFiles();
  await provisionSlots(files, FACTORY);
  return files;
}

/** Its inactive slot holds the factory's successor, which still boots: the way back that the next intake takes the place of. */
async function updatedOnce(): Promise<MemoryFiles> {
  const files = await charger();
  for (const bytes of [Buffer.from('the first update'), Buffer.from('the second update')]) {
    await update(files, bytes, { ...imageOf(bytes), version: '1.0.1' });
  }
  return files;
}

async function fill(files: MemoryFiles, bytes: Buffer, image = IMAGE): Promise<void> {
  const intake = await slotFiles(files).intake(image);
  const handle = await intake.files.open(intake.file);
  await handle.truncate(0);
  await handle.append(bytes);
}

async function update(files: MemoryFiles, bytes = BYTES, image = IMAGE): Promise<void> {
  const installer = slotFiles(files);
  await fill(files, bytes, image);
  await installer.install(image);
  await installer.activate(image);
  await bootSelect(files);
  await installer.commit();
}

describe('slot files', () => {
  it.each<Loss>(['lost', 'torn'])(
    'boot what they ran, and finish later, wherever the power is cut (%s)',
    async (loss) => {
      for (const life of [charger, updatedOnce]) {
        for (let allowed = 0; ; allowed++) {
          const files = await life();
          files.changesLeft = allowed;
          const cut = await update(files).then(
            () => false,
            (error: unknown) => error instanceof PowerCut,
          );
          files.losePower(loss);
          await nothingForeignIsBootable(files);
          await bootSelect(files);
          const { booted, trial } = await slotFiles(files).status();
          expect(booted.image).toBeDefined();
          if (trial) await bootSelect(files);
          if ((await slotFiles(files).status()).booted.image?.version !== '1.1.0') await update(files);
          expect((await slotFiles(files).status()).booted.image?.version).toBe('1.1.0');
          if (!cut) break;
        }
      }
    },
  );

  it('hold what was installed on the medium, whoever wrote it', async () => {
    const files = await charger();
    await fill(files, BYTES);
    await slotFiles(files).install(IMAGE);
    files.losePower('lost');
    await slotFiles(files).activate(IMAGE);
    await nothingForeignIsBootable(files);
  });

  it('activate nothing whose bytes were swapped since it was installed', async () => {
    const files = await charger();
    const installer = slotFiles(files);
    await fill(files, BYTES);
    await installer.install(IMAGE);
    files.contents.set('slot-b', Buffer.from(BYTES).fill('evil'));
    await expect(installer.activate(IMAGE)).rejects.toMatchObject({ code: 'IMAGE_DIGEST' });
    await bootSelect(files);
    expect((await installer.status()).booted.name).toBe('a');
  });

  it('leave nothing of an image that was not the signed one, or is not wanted any more', async () => {
    const files = await charger();
    const installer = slotFiles(files);
    await fill(files, Buffer.from(BYTES).fill('evil'));
    await expect(installer.install(IMAGE)).rejects.toMatchObject({ code: 'IMAGE_DIGEST' });
    expect(files.contents.has('slot-b')).toBe(false);
    await fill(files, BYTES);
    await installer.install(IMAGE);
    await installer.discard();
    expect(files.contents.has('slot-b')).toBe(false);
  });

  it('never boot bytes that are not the image’s, whatever is done in whatever order', async () => {
    const action = fc.constantFrom(
      ...(['fill', 'tamper', 'install', 'activate', 'boot', 'commit', 'reject', 'discard'] as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        const files = await charger();
        const installer = slotFiles(files);
        for (const what of actions) {
          try {
            if (what === 'fill') await fill(files, BYTES);
            else if (what === 'tamper') await tamper(files);
            else if (what === 'boot') await bootSelect(files);
            else if (what === 'install' || what === 'activate') await installer[what](IMAGE);
            else await installer[what]();
          } catch (error) {
            if (!(error instanceof Refusal)) throw error;
          }
          await nothingForeignIsBootable(files);
        }
      }),
      { seed: 20261122, numRuns: 300 },
    );
  });

  it('keep an image that is there already, and check it all the same', async () => {
    const files = await charger();
    const installer = slotFiles(files);
    await fill(files, BYTES);
    await installer.install(IMAGE);
    expect((await installer.intake(IMAGE)).whole).toBe(true);
    files.contents.set('slot-b', Buffer.from('another image, in its place'));
    await expect(installer.install(IMAGE)).rejects.toMatchObject({ code: 'IMAGE_LENGTH' });
    expect((await installer.intake(IMAGE)).whole).toBe(false);
  });

  it.each(['', '{}', 'null', '{"format":1}'])('refuse a boot record that says %s', (text) => {
    expect(() => parseBootRecord(Buffer.from(text))).toThrow(Refusal);
  });
});

/** Somebody writes to the inactive slot behind the installer's back, before it is activated. */
async function tamper(files: MemoryFiles): Promise<void> {
  const { inactive, activated, trial } = await slotFiles(files).status();
  if (!activated && !trial && !inactive.bootable)
    files.contents.set(`slot-${inactive.name}`, Buffer.from('evil'));
}

async function nothingForeignIsBootable(files: MemoryFiles): Promise<void> {
  const { slots } = parseBootRecord(await files.read('boot.json'));
  for (const [name, slot] of Object.entries(slots)) {
    if (slot?.bootable && slot.sha256 !== null) {
      const held = files.contents.get(`slot-${name}`) ?? Buffer.alloc(0);
      expect(createHash('sha256').update(held).digest('hex')).toBe(slot.sha256);
    }
  }
}
