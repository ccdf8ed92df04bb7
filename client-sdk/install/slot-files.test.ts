import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Refusal } from '../protocol/index.ts';
import { memoryFiles, PowerCut } from '../trust/testing/memory-files.ts';
import type { MemoryFiles } from '../trust/testing/memory-files.ts';
import type { VerifiedImage } from './installer.ts';
import { parseBootRecord } from './boot-record.ts';
import { bootSelect, provisionSlots, slotFiles } from './slot-files.ts';

const FACTORY = { sha256: null, version: '1.0.0', securityVersion: 1 };
const BYTES = Buffer.from('an image, more or less');
const IMAGE: VerifiedImage = {
  sha256: createHash('sha256').update(BYTES).digest('hex'),
  length: BYTES.length,
  version: '1.1.0',
  securityVersion: 2,
};

async function charger(): Promise<MemoryFiles> {
  const files = memoryFiles();
  await provisionSlots(files, FACTORY);
  return files;
}

async function fill(files: MemoryFiles, bytes: Buffer): Promise<void> {
  const intake = await slotFiles(files).intake(IMAGE);
  const handle = await intake.files.open(intake.file);
  await handle.append(bytes.subarray(handle.size));
}

async function update(files: MemoryFiles): Promise<void> {
  const installer = slotFiles(files);
  await fill(files, BYTES);
  await installer.install(IMAGE);
  await installer.activate(IMAGE);
  await bootSelect(files);
  await installer.commit();
}

describe('slot files', () => {
  it('boot what they ran, and finish later, wherever the power is cut', async () => {
    for (let allowed = 0; ; allowed++) {
      const files = await charger();
      files.changesLeft = allowed;
      const cut = await update(files).then(
        () => false,
        (error: unknown) => error instanceof PowerCut,
      );
      files.changesLeft = Infinity;
      await bootSelect(files);
      const { booted, trial } = await slotFiles(files).status();
      expect(booted.image).toBeDefined();
      if (trial) await bootSelect(files);
      if ((await slotFiles(files).status()).booted.image?.version !== '1.1.0') await update(files);
      expect((await slotFiles(files).status()).booted.image?.version).toBe('1.1.0');
      if (!cut) return;
    }
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
