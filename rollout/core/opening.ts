/**
 * A step does not open when what it depends on would expire while it soaks and is watched: its chargers could then neither verify the release
 * nor go back, or would fall silent. Design §3, "Long absence". It opens by itself once that has been renewed.
 */
import { currentStep } from './change.ts';
import type { Expiring, Life, Rollout } from './types.ts';

const HOUR = 3_600_000;

/** The step that opens next, if nothing else keeps it, and the end of its watch period if it opens now. */
export interface Opening {
  /** Index of the step. */
  step: number;
  /** Its soak and the watch after it. ms */
  until: number;
}

/** What the next tick opens; null where it opens nothing. */
export function openingOf(rollout: Rollout, now: number): Opening | null {
  const step = nextStep(rollout, now);
  return step === null ? null : openingAt(rollout, step, now);
}

/** The same for a rollout that has not been approved yet, as if it were now. */
export function firstOpeningOf(rollout: Rollout, now: number): Opening | null {
  const waits: readonly Rollout['status'][] = ['DRAFT', 'AWAITING_APPROVAL', 'SCHEDULED'];
  if (!waits.includes(rollout.status)) return null;
  return openingAt(rollout, Math.max(0, rollout.current), Math.max(now, rollout.plan.startAt ?? now));
}

function openingAt(rollout: Rollout, step: number, at: number): Opening {
  const soak = rollout.steps[step]?.soak.hours ?? 0;
  return { step, until: at + (soak + rollout.plan.watchHours) * HOUR };
}

function nextStep(rollout: Rollout, now: number): number | null {
  // After a halt it goes on in the step where it stopped.
  if (rollout.status === 'SCHEDULED')
    return now < (rollout.plan.startAt ?? 0) ? null : Math.max(0, rollout.current);
  const step = currentStep(rollout);
  if (rollout.status !== 'RUNNING' || step?.status !== 'GATE') return null;
  const isOpen = step.approvals.length >= step.approvalsNeeded;
  return isOpen && rollout.current + 1 < rollout.steps.length ? rollout.current + 1 : null;
}

/** What would expire too early for this opening; the first to go comes first. */
export function expiringIn(rollout: Rollout, { until }: Opening, lives: readonly Life[]): Expiring[] {
  return lives
    .filter(
      ({ expires, share }) => expires < until && (share === undefined || share > rollout.plan.maxFailedShare),
    )
    .map((life) => ({ ...life, until }))
    .sort((a, b) => a.expires - b.expires);
}

/** @param time how times are written. */
export function sentenceOfExpiring(
  { kind, subject, expires, until, share }: Expiring,
  time: (ms: number) => string,
): string {
  const when = `expires at ${time(expires)}, before the watch of the step would end at ${time(until)}`;
  switch (kind) {
    case 'ROLE':
      return `The role ${subject} ${when}. Let its people sign it again and publish it.`;
    case 'FALLBACK':
      return `The way back to ${subject} ${when}. Sign the release with a later one and publish it.`;
    case 'CERTIFICATE':
      return `The certificate of the ${subject} ${when}. Renew it.`;
    case 'CHARGERS':
      return `Of the ${subject} chargers ${percent(share ?? 0)} have a client certificate that ends before ${time(until)}, the first at ${time(expires)}: more than the plan lets fail. Renew them.`;
  }
}

function percent(share: number): string {
  return `${Math.ceil(share * 100)} %`;
}
