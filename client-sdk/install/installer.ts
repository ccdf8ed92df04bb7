/**
 * The port between the agent and whatever writes firmware: two slots, of which one runs.
 *
 * The life of an image in the inactive slot:
 *
 * | Step         | Inactive slot                                | Next boot       |
 * |--------------|----------------------------------------------|-----------------|
 * | `intake`     | unbootable where the bytes go straight there | the booted slot |
 * | `install`    | whole, digest checked, still unbootable      | the booted slot |
 * | `activate`   | bootable, on trial                           | this slot, once |
 * | *boot*       | is the booted slot now, on trial             | the other slot  |
 * | `commit`     | primary                                      | this slot       |
 * | `reject`     | booted still, but unbootable from now on     | the other slot  |
 *
 * Every step may be interrupted by a power cut and repeated. Invariant 1 (design §8): nothing becomes bootable before `install` has
 * checked the digest of the bytes that were written or handed over.
 *
 * All methods throw `Refusal` with `INSTALL_FAILED`, or with `IMAGE_DIGEST` / `IMAGE_LENGTH` where the bytes are not the image's.
 */
import type { RunningImage } from '../protocol/index.ts';
import type { Files } from '../trust/index.ts';

/** An image that passed every check of design §3. */
export interface VerifiedImage {
  /** Lower-case hex. */
  sha256: string;
  /** Bytes. */
  length: number;
  version: string;
  securityVersion: number;
}

export interface SlotStatus {
  name: string;
  /** What was installed there; undefined where nothing whole is, or nothing that this installer has on record. */
  image: RunningImage | undefined;
  /** Whether the boot loader may choose it. */
  bootable: boolean;
}

export interface InstallerStatus {
  /** The slot that runs now. */
  booted: SlotStatus;
  /** The other one. */
  inactive: SlotStatus;
  /** The booted slot is on trial: without `commit` the next boot takes the other one. */
  trial: boolean;
  /** The next boot takes the inactive slot. */
  activated: boolean;
  /** Differs with every boot. */
  bootId: string;
}

/** Where the bytes of an image go while they arrive; a part that an interrupted intake of the same image left is still there. */
export interface Intake {
  files: Files;
  /** In `files`. */
  file: string;
  /** The image is there already, as far as the record goes: nothing need be fetched. `install` checks it like any other. */
  whole: boolean;
}

export interface Installer {
  /** For logs, e.g. `slot-files`. */
  readonly name: string;
  status(): Promise<InstallerStatus>;
  /** Opens the place for the bytes of `image`; what belongs to another image is dropped first. */
  intake(image: VerifiedImage): Promise<Intake>;
  /** Puts what came in through `intake` into the inactive slot, whole and checked, and not bootable. */
  install(image: VerifiedImage): Promise<void>;
  /** Makes the next boot a trial of the inactive slot, which must hold `image`. Doing it twice changes nothing. */
  activate(image: VerifiedImage): Promise<void>;
  /** The booted slot has proved itself: it is primary from now on. Doing it twice changes nothing. */
  commit(): Promise<void>;
  /** The booted slot on trial is bad: it is unbootable from now on, and the next boot takes the other one. */
  reject(): Promise<void>;
  /** Makes the inactive slot unbootable and drops what is staged or half fetched. */
  discard(): Promise<void>;
}
