/** When the agent looks up again: as told, spread out, and patient with a service that does not answer. */
import type { Clock } from '../protocol/index.ts';
import type { Context } from './context.ts';
import type { Pass } from './pass.ts';
import { ServiceRefusal } from './transport.ts';
import { advance } from './trial.ts';

/** Seconds between check-ins where the service never said how many. */
const POLL_AFTER = 900;
/** Longest and shortest pause that a service may ask for, in seconds. */
const POLL_RANGE = [1, 24 * 60 * 60] as const;
/** Share of a pause by which it is stretched at random at most, so that a fleet does not move in step. */
const JITTER = 0.1;
/** First pause after a failure, in seconds of the wall's time; it doubles up to the poll interval. */
const FIRST_RETRY = 1;
/** A trial boot is looked after so often within its deadline. */
const LOOKS_AT_TRIAL = 20;

export interface Paced {
  pass: Pick<Pass, 'news' | 'refusals' | 'pollAfter'>;
  /** Seconds, from the last answer. */
  pollAfter: number | undefined;
  /** Check-ins in a row that failed. */
  failures: number;
}

/** Resolves when the next check-in is due, or when there is something to tell; `signal` ends it early. */
export async function waitForNextPass(context: Context, paced: Paced, signal: AbortSignal): Promise<void> {
  // Each change is told once and at once; without an answer it waits like everything else.
  if (paced.pass.news && paced.failures === 0) return;
  const told = Math.min(Math.max(paced.pollAfter ?? POLL_AFTER, POLL_RANGE[0]), POLL_RANGE[1]);
  const spread = 1 + JITTER * fraction(context);
  try {
    if (paced.failures === 0) {
      await sleepBesideTrial(context, context.clock, told * spread * 1000, signal);
    } else {
      const patient = Math.min(FIRST_RETRY * 2 ** (paced.failures - 1), told);
      const pause = Math.max(patient, retryAfter(paced.pass) ?? 0) * spread * 1000;
      // The network's trouble lives on the wall's clock.
      await sleepBesideTrial(context, context.wall, pause, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** A trial boot has a deadline of its own, so it is looked after while the agent waits. */
async function sleepBesideTrial(
  context: Context,
  clock: Clock,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  const end = clock.now() + ms;
  while (clock.now() < end) {
    const { job } = context.memory.state;
    const trial = job?.phase === 'VERIFYING' || job?.phase === 'FALLING_BACK' || job?.phase === 'INSTALLING';
    if (!trial) {
      await clock.sleep(end - clock.now(), signal);
      return;
    }
    const look = (context.identity.healthDeadline * 1000) / LOOKS_AT_TRIAL;
    await context.clock.sleep(look, signal);
    if (await advance(context)) return;
  }
}

function retryAfter({ refusals }: Paced['pass']): number | undefined {
  for (const refusal of refusals) {
    if (refusal instanceof ServiceRefusal && refusal.retryAfter !== undefined) {
      return Math.min(refusal.retryAfter, POLL_RANGE[1]);
    }
  }
  return undefined;
}

/** Between 0 and 1. */
function fraction(context: Context): number {
  return Buffer.from(context.random(4)).readUInt32BE() / 2 ** 32;
}
