/**
 * Two slots as files in one folder: `slot-a`, `slot-b`, and `boot.json` for the boot loader. For chargers whose boot loader reads a
 * selector file, and for tests. The image is fetched straight into the inactive slot, so there is never a second copy of it.
 */
import { discardDownload } from '../download/index.ts';
import { diskFiles } from '../trust/index.ts';
import type { Files } from '../trust/index.ts';
import type { RunningImage } from '../protocol/index.ts';
import { Refusal } from '../protocol/index.ts';
import {
  activating,
  booting,
  committing,
  discarding,
  factoryRecord,
  inactiveOf,
  onTrial,
  parseBootRecord,
  rejecting,
  taking,
} from './boot-record.ts';
import type { BootRecord, SlotName, SlotRecord } from './boot-record.ts';
import { checkFile } from './digest.ts';
import type { Installer, SlotStatus, VerifiedImage } from './installer.ts';

const BOOT = 'boot.json';
const fileOf = (slot: SlotName): string => `slot-${slot}`;

/** Makes the folder of a charger as it leaves the factory: `image` runs from slot a. Does nothing where there is a `boot.json`. */
export async function provisionSlots(folder: string | Files, image: RunningImage): Promise<void> {
  const files = filesOf(folder);
  if (await files.read(BOOT)) return;
  await writeBoot(files, factoryRecord(image));
}

/** Plays the boot loader: one boot. Returns the slot that runs from now on. */
export async function bootSelect(folder: string | Files): Promise<SlotName> {
  const files = filesOf(folder);
  const boot = booting(await readBoot(files));
  await writeBoot(files, boot);
  return boot.booted;
}

/** @param folder made by `provisionSlots`, or a port to it */
export function slotFiles(folder: string | Files): Installer {
  const files = filesOf(folder);
  const edit = async (change: (boot: BootRecord) => BootRecord): Promise<BootRecord> => {
    const before = await readBoot(files);
    const after = change(before);
    if (after !== before) await writeBoot(files, after);
    return after;
  };
  return {
    name: 'slot-files',
    async status() {
      const boot = await readBoot(files);
      const inactive = inactiveOf(boot);
      return {
        booted: slotStatus(boot.booted, boot.slots[boot.booted]),
        inactive: slotStatus(inactive, boot.slots[inactive]),
        trial: onTrial(boot),
        activated: boot.trial?.slot === inactive && boot.trial.tries > 0,
        bootId: String(boot.boots),
      };
    },
    async intake(image) {
      const before = await readBoot(files);
      const slot = inactiveOf(before);
      const held = before.slots[slot];
      const same = held?.sha256 === image.sha256;
      const whole = same && held.whole;
      if (!same) {
        // Unbootable first, and only then touched: a power cut in between must not boot half an image.
        await edit(discarding);
        await empty(files, slot);
      }
      await edit((boot) => taking(boot, image, whole));
      return { files, file: fileOf(slot), whole };
    },
    async install(image) {
      const slot = await slotTaking(files, image);
      try {
        await checkFile(files, fileOf(slot), image);
      } catch (error) {
        await edit((boot) => taking(boot, image, false));
        await empty(files, slot);
        throw error;
      }
      await edit((boot) => taking(boot, image, true));
    },
    async activate(image) {
      const slot = await slotTaking(files, image);
      // Staged may be days ago: what becomes bootable now is looked at now.
      await checkFile(files, fileOf(slot), image);
      await edit(activating);
    },
    async commit() {
      await edit(committing);
    },
    async reject() {
      await edit(rejecting);
    },
    async discard() {
      const boot = await edit(discarding);
      await empty(files, inactiveOf(boot));
    },
  };
}

async function slotTaking(files: Files, image: VerifiedImage): Promise<SlotName> {
  const boot = await readBoot(files);
  const slot = inactiveOf(boot);
  if (boot.slots[slot]?.sha256 !== image.sha256) {
    throw new Refusal('INSTALL_FAILED', `slot ${slot} was not prepared for ${image.sha256}`);
  }
  return slot;
}

const empty = (files: Files, slot: SlotName): Promise<void> => discardDownload(files, fileOf(slot));

function slotStatus(name: SlotName, record: SlotRecord | null): SlotStatus {
  if (!record?.whole) return { name, image: undefined, bootable: false };
  const { sha256, version, securityVersion, bootable } = record;
  return { name, image: { sha256, version, securityVersion }, bootable };
}

const filesOf = (folder: string | Files): Files => (typeof folder === 'string' ? diskFiles(folder) : folder);

async function readBoot(files: Files): Promise<BootRecord> {
  return parseBootRecord(await files.read(BOOT));
}

async function writeBoot(files: Files, boot: BootRecord): Promise<void> {
  await files.write(BOOT, Buffer.from(`${JSON.stringify(boot, null, 2)}\n`));
}
