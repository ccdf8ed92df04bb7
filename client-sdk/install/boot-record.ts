/**
 * `boot.json`: what the boot loader and the slot-file installer share, as pure edits. It is written whole, so each edit happens
 * entirely or not at all.
 */
import { Refusal, SHA256, VERSION } from '../protocol/index.ts';
import type { RunningImage } from '../protocol/index.ts';
import type { VerifiedImage } from './installer.ts';

export type SlotName = 'a' | 'b';

export interface SlotRecord {
  /** SHA-256 of the slot's image; null for a factory image that has none on record. */
  sha256: string | null;
  version: string;
  securityVersion: number;
  /** All its bytes were written and their digest checked. */
  whole: boolean;
  /** The boot loader may choose it. Never true while `whole` is false. */
  bootable: boolean;
}

export interface BootRecord {
  format: 1;
  /** Counts the boots. */
  boots: number;
  /** What runs since the last boot. */
  booted: SlotName;
  /** What boots when no trial is due. */
  primary: SlotName;
  /** A slot to be tried; without a commit it is tried as often as `tries` says and then given up. */
  trial: { slot: SlotName; tries: number } | null;
  slots: Record<SlotName, SlotRecord | null>;
}

/** Trial boots before the boot loader gives a slot up. */
const TRIES = 1;

export function factoryRecord(image: RunningImage): BootRecord {
  return {
    format: 1,
    boots: 0,
    booted: 'a',
    primary: 'a',
    trial: null,
    slots: { a: { ...image, whole: true, bootable: true }, b: null },
  };
}

export const inactiveOf = (boot: BootRecord): SlotName => (boot.booted === 'a' ? 'b' : 'a');

/** The booted slot runs on trial, so the inactive one is the way back and must not be touched. */
export const onTrial = (boot: BootRecord): boolean => boot.booted !== boot.primary;

/** The inactive slot is about to hold `image`, and holds nothing that may boot until then. */
export function taking(boot: BootRecord, image: VerifiedImage, whole: boolean): BootRecord {
  mustBeCommitted(boot);
  const { sha256, version, securityVersion } = image;
  const record: SlotRecord = { sha256, version, securityVersion, whole, bootable: false };
  return withInactive({ ...boot, trial: null }, record);
}

/** The inactive slot is tried at the next boot. */
export function activating(boot: BootRecord): BootRecord {
  mustBeCommitted(boot);
  const slot = inactiveOf(boot);
  const record = boot.slots[slot];
  if (!record?.whole) throw new Refusal('INSTALL_FAILED', `slot ${slot} holds no whole image`);
  return { ...withInactive(boot, { ...record, bootable: true }), trial: { slot, tries: TRIES } };
}

export function committing(boot: BootRecord): BootRecord {
  if (!onTrial(boot)) return boot;
  if (boot.trial?.slot !== boot.booted) {
    throw new Refusal('INSTALL_FAILED', `slot ${boot.booted} was rejected and waits for its last boot`);
  }
  return { ...boot, primary: boot.booted, trial: null };
}

export function rejecting(boot: BootRecord): BootRecord {
  if (!onTrial(boot)) {
    throw new Refusal('INSTALL_FAILED', `slot ${boot.booted} is committed; there is no trial to reject`);
  }
  const record = boot.slots[boot.booted];
  const slots = { ...boot.slots, [boot.booted]: record && { ...record, bootable: false } };
  return { ...boot, trial: null, slots };
}

export function discarding(boot: BootRecord): BootRecord {
  mustBeCommitted(boot);
  return withInactive({ ...boot, trial: null }, null);
}

/** What the boot loader does, and all that it does. */
export function booting(boot: BootRecord): BootRecord {
  const boots = boot.boots + 1;
  const { trial } = boot;
  if (trial && trial.tries > 0 && boot.slots[trial.slot]?.bootable) {
    return { ...boot, boots, booted: trial.slot, trial: { ...trial, tries: trial.tries - 1 } };
  }
  if (!trial) return { ...boot, boots, booted: boot.primary };
  const tried = boot.slots[trial.slot];
  const slots = { ...boot.slots, [trial.slot]: tried && { ...tried, bootable: false } };
  return { ...boot, boots, booted: boot.primary, trial: null, slots };
}

/** @throws Refusal `INSTALL_FAILED` */
export function parseBootRecord(bytes: Uint8Array | undefined): BootRecord {
  if (!bytes) throw new Refusal('INSTALL_FAILED', 'the slot folder has no boot.json; provision it first');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new Refusal('INSTALL_FAILED', 'boot.json is not JSON', { cause: error });
  }
  if (!isBootRecord(value)) throw new Refusal('INSTALL_FAILED', 'boot.json is not a boot record');
  return value;
}

function isBootRecord(value: unknown): value is BootRecord {
  const boot = value as BootRecord | null;
  return (
    boot?.format === 1 &&
    Number.isSafeInteger(boot.boots) &&
    isSlot(boot.booted) &&
    isSlot(boot.primary) &&
    (boot.trial === null || (isSlot(boot.trial?.slot) && Number.isSafeInteger(boot.trial.tries))) &&
    isRecord(boot.slots?.a) &&
    isRecord(boot.slots.b)
  );
}

/** A pattern would call whatever `toString` a value has. */
const isText = (value: unknown, pattern: RegExp): boolean => typeof value === 'string' && pattern.test(value);

const isSlot = (value: unknown): value is SlotName => value === 'a' || value === 'b';

function isRecord(value: SlotRecord | null | undefined): boolean {
  if (value === null) return true;
  return (
    value !== undefined &&
    (value.sha256 === null || isText(value.sha256, SHA256)) &&
    isText(value.version, VERSION) &&
    Number.isSafeInteger(value.securityVersion) &&
    typeof value.whole === 'boolean' &&
    typeof value.bootable === 'boolean' &&
    (value.whole || !value.bootable)
  );
}

function withInactive(boot: BootRecord, record: SlotRecord | null): BootRecord {
  return { ...boot, slots: { ...boot.slots, [inactiveOf(boot)]: record } };
}

function mustBeCommitted(boot: BootRecord): void {
  if (onTrial(boot)) {
    throw new Refusal('INSTALL_FAILED', `slot ${boot.booted} is on trial; the other slot is its way back`);
  }
}
