/** What the parts of the agent share. */
import { Refusal } from '../protocol/index.ts';
import type { Clock, RunningImage } from '../protocol/index.ts';
import type { Installer } from '../install/index.ts';
import type { Files } from '../trust/index.ts';
import type { HealthLog } from './health-log.ts';
import type { Host } from './host.ts';
import type { Listener } from './listener.ts';
import type { ImageSource } from './mirror.ts';
import type { Memory } from './memory.ts';
import type { Provisioning } from './provisioning.ts';
import type { TimeKeeper } from './time-keeper.ts';
import type { Transport } from './transport.ts';
import type { TrustKeeper } from './trust-keeper.ts';

/** The part of the provisioning that the agent itself needs: `{ ...provisioning, root: await readFile(provisioning.root) }`. */
export type Identity = Pick<
  Provisioning,
  | 'organisation'
  | 'product'
  | 'hardware'
  | 'serial'
  | 'securityFloor'
  | 'buildTime'
  | 'factory'
  | 'healthDeadline'
  | 'healthBin'
> & {
  /** Bytes of the provisioned `root.json`. */
  root: Uint8Array;
};

export interface AgentDeps {
  identity: Identity;
  /** The charger's state folder: `diskFiles(provisioning.state)`. */
  files: Files;
  /** `slotFiles(…)` of `@tidegate/client-sdk/install`, `rauc(…)` of `…/install/rauc`, or your own: see `Installer`. */
  installer: Installer;
  host: Host;
  /** `httpsTransport(…)` with the identity that `enrol` made. */
  transport: Transport;
  /** Asked for images before the service is, in this order: `imageMirror({ url })`. They are trusted with nothing. */
  mirrors?: readonly ImageSource[];
  /** Time of the rules and of `pollAfter`: `systemClock` on a charger. It may be wrong; signed times correct it. Design §3, "Time" */
  clock: Clock;
  /** Time of the network: download rates, pauses after failures. The machine's clock unless told. */
  wall?: Clock;
  /** `crypto.randomBytes` unless told: nonces and jitter. */
  random?: (bytes: number) => Uint8Array;
  /** Told of each refusal and each change of phase, for a log. What it throws, `run` throws. */
  onEvent?: (event: AgentNews) => void;
}

export type AgentNews =
  /** `phase` as in `Phase`; `code` is a `RefusalCode` and `detail` a sentence, with `FALLING_BACK`, `ROLLED_BACK` and `FAILED`. */
  | { type: 'phase'; assignment: string; phase: string; code: string | null; detail: string | null }
  | { type: 'refused'; refusal: Refusal };

export interface Context {
  identity: Identity;
  files: Files;
  installer: Installer;
  host: Host;
  transport: Transport;
  mirrors: readonly ImageSource[];
  clock: Clock;
  wall: Clock;
  random: (bytes: number) => Uint8Array;
  memory: Memory;
  time: TimeKeeper;
  trust: TrustKeeper;
  health: HealthLog;
  listener: Listener;
  /** ms of the clock: when this process last asked the host to boot; a boot takes its time. */
  rebootAskedAt: number | undefined;
  /** ms of the clock: when this process last looked at a trial boot, and how often the clock was set between two looks. */
  trialWatch: { lookedAt: number | undefined; clockSet: number };
}

/** What runs, as far as the installer has it on record. */
export async function runningImage(context: Pick<Context, 'installer' | 'memory'>): Promise<RunningImage> {
  const { committed } = context.memory.state;
  try {
    const { booted } = await context.installer.status();
    return booted.image ?? committed;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return committed;
  }
}

/** 16 random bytes, base64url. */
export const nonce = (context: Context): string => Buffer.from(context.random(16)).toString('base64url');
