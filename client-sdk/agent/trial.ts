/**
 * What needs no service: finding out what the last boot did, proving the new image healthy within its deadline, committing it, or
 * going back. It runs before each check-in, whether the service can be reached or not.
 */
import type { RefusalCode } from '../protocol/index.ts';
import type { InstallerStatus } from '../install/index.ts';
import { floorAfterCommit, MAX_FLOOR_STEP_MS } from '../trust/index.ts';
import type { Context } from './context.ts';
import type { Job } from './state.ts';

/** A boot that was asked for may take so long before it is asked for again, in ms. */
const BOOT_PATIENCE = 5 * 60 * 1000;
/** Between two looks at a trial boot the clock went on by no more than this, in ms, unless it was set. */
const CLOCK_SET = 24 * 60 * 60 * 1000;
/** So often the deadline of a trial begins anew because the clock was set. */
const TIMES_CLOCK_SET = 3;
/** Boots into the earlier image that are tried before it is left to the service. */
const FALL_BACK_TRIES = 3;

/** Takes one step. Returns whether anything changed, so that there may be another. */
export async function advance(context: Context): Promise<boolean> {
  const { job } = context.memory.state;
  switch (job?.phase) {
    case 'STAGED':
      return seeEarlyBoot(context, job, await context.installer.status());
    case 'INSTALLING':
      return seeBoot(context, job, await context.installer.status());
    case 'VERIFYING':
      return prove(context, job, await context.installer.status());
    case 'FALLING_BACK':
      return goBack(context, job, await context.installer.status());
    default:
      return endUnknownTrial(context, job, await context.installer.status());
  }
}

/** A trial that the state knows nothing of (it was lost, or written by somebody else) proves nothing: back, when idle. */
async function endUnknownTrial(context: Context, job: Job | null, status: InstallerStatus): Promise<boolean> {
  if (!status.trial || isBooting(context)) return false;
  // One that would not end was reported; asking the boot loader on and on would boot the charger on and on.
  if (job?.phase === 'FAILED' && runs(status, job)) return false;
  if (await context.host.isCharging()) return false;
  await context.installer.reject();
  await reboot(context);
  return true;
}

/** Power was cut after the activation and before its record. */
async function seeEarlyBoot(context: Context, job: Job, status: InstallerStatus): Promise<boolean> {
  if (!runs(status, job)) return false;
  await context.memory.apply({ type: 'booted', at: context.clock.now() });
  return true;
}

async function seeBoot(context: Context, job: Job, status: InstallerStatus): Promise<boolean> {
  const { memory, clock } = context;
  if (status.bootId === job.bootId) {
    if (isBooting(context)) return false;
    // Killed before the boot, perhaps long ago: the confirmation is not live any more.
    await memory.apply({ type: 'resumed' });
    return true;
  }
  context.rebootAskedAt = undefined;
  if (runs(status, job)) {
    await memory.apply({ type: 'booted', at: clock.now() });
  } else {
    await fellBack(context, 'BOOT_FELL_BACK', `slot ${status.booted.name} runs after the boot`);
  }
  return true;
}

async function prove(context: Context, job: Job, status: InstallerStatus): Promise<boolean> {
  if (!runs(status, job)) {
    await fellBack(context, 'BOOT_FELL_BACK', 'the charger booted again before the new image was committed');
    return true;
  }
  const overdue = await isOverdue(context, job);
  // No trial any more: killed between the commit and its record, so there is no way back to take.
  if ((await isHealthy(context)) || (overdue && !status.trial)) {
    await commit(context, job);
    return true;
  }
  if (!overdue) return false;
  await context.memory.apply({
    type: 'rejecting',
    bootId: status.bootId,
    code: 'HEALTH_FAILED',
    detail: `not healthy ${context.identity.healthDeadline} s after the boot`,
  });
  return true;
}

/**
 * By the device's clock, which needs no network. Where that was set between two looks, forward from 1970 as a rule, the time begins anew: a
 * good image must not fall for it. Not again and again, for whoever can set the clock.
 */
async function isOverdue({ clock, identity, memory, trialWatch }: Context, job: Job): Promise<boolean> {
  const patience = identity.healthDeadline * 1000;
  const now = clock.now();
  const passed = now - (trialWatch.lookedAt ?? now);
  trialWatch.lookedAt = now;
  const set = passed < 0 || passed > Math.max(patience, CLOCK_SET);
  if (set && trialWatch.clockSet < TIMES_CLOCK_SET) {
    trialWatch.clockSet++;
    await memory.apply({ type: 'clockSet', at: now });
    return false;
  }
  return now - (job.bootedAt ?? 0) >= patience;
}

async function commit(context: Context, job: Job): Promise<void> {
  const { image } = job;
  if (!image) return;
  const { installer, memory, time } = context;
  await installer.commit();
  const floor = floorAfterCommit({
    floor: memory.state.floor,
    committed: image,
    securityVersionOf: (way) => image.fallbackSecurityVersions[way.sha256],
    cap: image.cap,
    // A time that is certainly past: a clock that woke in 2106, or one wrong signed time, would close every way down for ever.
    now: time.floor,
  });
  // Unbootable first, then the floor: a power cut in between must not leave a bootable slot below the floor. Invariant 3.
  const { inactive } = await installer.status();
  if (inactive.bootable && (inactive.image?.securityVersion ?? 0) < floor) await installer.discard();
  await memory.apply({ type: 'committed', floor });
}

async function goBack(context: Context, job: Job, status: InstallerStatus): Promise<boolean> {
  const { installer, memory, host } = context;
  if (!runs(status, job)) {
    await fellBack(context, job.code ?? 'HEALTH_FAILED', job.detail ?? '');
    return true;
  }
  if (isBooting(context) && status.bootId === job.bootId) return false;
  if (job.attempts >= FALL_BACK_TRIES) {
    await memory.apply({
      type: 'failed',
      code: 'INSTALL_FAILED',
      detail: `the boot loader keeps booting slot ${status.booted.name}`,
    });
    return true;
  }
  // Nothing interrupts a session, a fallback neither.
  if (await host.isCharging()) return false;
  if (status.bootId !== job.bootId) {
    const { code, detail } = job;
    await memory.apply({
      type: 'rejecting',
      bootId: status.bootId,
      code: code ?? 'HEALTH_FAILED',
      detail: detail ?? '',
    });
  }
  await installer.reject();
  await reboot(context);
  return true;
}

/** Boots the charger; what happens until it runs again belongs to no health bin. */
export async function reboot(context: Context): Promise<void> {
  await context.health.cut(context.clock.now(), context.time.correction);
  context.rebootAskedAt = context.clock.now();
  await context.host.reboot();
}

async function fellBack(context: Context, code: RefusalCode, detail: string): Promise<void> {
  context.rebootAskedAt = undefined;
  // By a clock that woke in 2106 it would count until then.
  const at = Math.min(context.time.now(), context.time.floor + MAX_FLOOR_STEP_MS);
  await context.memory.apply({ type: 'fellBack', at, code, detail });
}

function isBooting({ rebootAskedAt, clock }: Context): boolean {
  return rebootAskedAt !== undefined && clock.now() - rebootAskedAt < BOOT_PATIENCE;
}

const runs = (status: InstallerStatus, job: Job): boolean =>
  status.booted.image?.sha256 === job.target.sha256;

async function isHealthy({ host }: Context): Promise<boolean> {
  try {
    return await host.healthy();
  } catch {
    return false;
  }
}
