/**
 * RAUC: two slots that the RAUC service writes, and a boot loader that it knows. The agent's image is the bundle; it is handed over as
 * a private, read-only file whose digest was checked right before. RAUC checks the bundle's own X.509 signature besides.
 *
 * system.conf must say `activate-installed=false`, or RAUC makes an image bootable by itself; that is found out at the first install,
 * which is then undone and refused. RAUC does not know trials, so `rauc.json` beside the bundle remembers which slot is on trial; the
 * boot loader must try an activated slot a limited number of times.
 */
import { createReadStream } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { Refusal } from '../protocol/index.ts';
import { diskFiles } from '../trust/index.ts';
import type { Files } from '../trust/index.ts';
import { checkBytes } from './digest.ts';
import type { Installer, SlotStatus, VerifiedImage } from './installer.ts';
import { RaucCommand } from './rauc-command.ts';
import { parseRaucRecord, type RaucRecord } from './rauc-record.ts';
import type { RaucSlot, RaucStatus } from './rauc-command.ts';

export interface RaucOptions {
  /** D-Bus address of the bus that the RAUC service is on; the system bus unless told. */
  busAddress?: string | undefined;
  /** Private folder (mode 700) for the bundle on its way and for `rauc.json`. */
  folder: string;
  /** Differs with every boot; the kernel's boot id unless told. */
  bootId?: () => Promise<string>;
}

/** What this adapter remembers of its own: RAUC knows slots and checksums, and not which bundle they came from. */
const RECORD = 'rauc.json';

export function rauc({ busAddress, folder, bootId = kernelBootId }: RaucOptions): Installer {
  const files = diskFiles(folder);
  const command = new RaucCommand(busAddress);

  const look = async (): Promise<{ now: RaucStatus; record: RaucRecord }> => ({
    now: await command.status(),
    record: parseRaucRecord(await files.read(RECORD)),
  });
  async function discard(): Promise<void> {
    const { now, record } = await look();
    mustBeCommitted(now, record);
    if (now.primary === now.other.name) {
      await command.mark('active', 'booted');
      await command.mark('good', 'booted');
    }
    await command.mark('bad', 'other');
    const { [now.other.name]: _dropped, ...slots } = record.slots;
    await writeRecord(files, { ...record, trial: null, slots });
    await dropBundles(files);
  }

  return {
    name: 'rauc',
    async status() {
      const { now, record } = await look();
      return {
        booted: slotStatus(now.booted, record),
        inactive: slotStatus(now.other, record),
        trial: record.trial === now.booted.name,
        activated: now.primary === now.other.name && now.other.good,
        bootId: await bootId(),
      };
    },
    async intake(image) {
      const { now, record } = await look();
      mustBeCommitted(now, record);
      const file = bundleOf(image);
      await dropBundles(files, file);
      // An earlier, interrupted install left it read-only.
      await chmod(files.path(file), 0o600).catch(unlessMissing);
      return { files, file, whole: false };
    },
    async install(image) {
      const file = bundleOf(image);
      const path = files.path(file);
      try {
        await handOver(path, image);
      } catch (error) {
        await dropBundles(files);
        throw error;
      }
      await command.install(path);
      const { now, record } = await look();
      if (now.primary === now.other.name || now.other.good) {
        await discard();
        throw new Refusal(
          'INSTALL_FAILED',
          'RAUC activated the image by itself; set activate-installed=false',
        );
      }
      if (now.other.checksum === undefined) throw new Refusal('INSTALL_FAILED', 'RAUC reports no whole slot');
      const { sha256, version, securityVersion } = image;
      const written = { image: { sha256, version, securityVersion }, checksum: now.other.checksum };
      await writeRecord(files, {
        ...record,
        trial: null,
        slots: { ...record.slots, [now.other.name]: written },
      });
      await dropBundles(files);
    },
    async activate(image) {
      const { now, record } = await look();
      mustBeCommitted(now, record);
      if (slotStatus(now.other, record).image?.sha256 !== image.sha256) {
        throw new Refusal('INSTALL_FAILED', `${now.other.name} does not hold ${image.sha256}`);
      }
      // The record first: a boot between the two must be known as a trial.
      await writeRecord(files, { ...record, trial: now.other.name });
      await command.mark('active', 'other');
    },
    async commit() {
      const { now, record } = await look();
      if (record.trial !== now.booted.name) return;
      if (!now.booted.good) {
        throw new Refusal('INSTALL_FAILED', `${now.booted.name} was rejected and waits for its last boot`);
      }
      await command.mark('good', 'booted');
      await writeRecord(files, { ...record, trial: null });
    },
    async reject() {
      const { now, record } = await look();
      if (record.trial !== now.booted.name) {
        throw new Refusal('INSTALL_FAILED', `${now.booted.name} is committed; there is no trial to reject`);
      }
      await command.mark('active', 'other');
      await command.mark('good', 'other');
      await command.mark('bad', 'booted');
    },
    discard,
  };
}

const bundleOf = (image: VerifiedImage): string => `intake/${image.sha256}.raucb`;

/** Read-only first, then checked: what RAUC opens is what was checked. Invariant 1. */
async function handOver(path: string, image: VerifiedImage): Promise<void> {
  try {
    await chmod(path, 0o400);
  } catch (error) {
    throw new Refusal('INSTALL_FAILED', 'no bundle came in', { cause: error });
  }
  await checkBytes(createReadStream(path), image);
}

async function dropBundles(files: Files, except?: string): Promise<void> {
  for (const name of await files.list('intake')) {
    const file = `intake/${name}`;
    if (except === undefined || !file.startsWith(except)) await files.remove(file);
  }
}

function slotStatus(slot: RaucSlot, record: RaucRecord): SlotStatus {
  const written = record.slots[slot.name];
  const known = written !== undefined && written.checksum === slot.checksum;
  return { name: slot.name, image: known ? written.image : undefined, bootable: slot.good };
}

function mustBeCommitted(now: RaucStatus, record: RaucRecord): void {
  if (record.trial === now.booted.name) {
    throw new Refusal('INSTALL_FAILED', `${now.booted.name} is on trial; the other slot is its way back`);
  }
}

/** Where it is lost, what the slots hold is unknown, and a trial is not known as one; the agent commits by its own state all the same. */
async function writeRecord(files: Files, record: RaucRecord): Promise<void> {
  await files.write(RECORD, Buffer.from(JSON.stringify(record)));
}

async function kernelBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

function unlessMissing(error: unknown): void {
  if ((error as { code?: string }).code !== 'ENOENT') throw error;
}
