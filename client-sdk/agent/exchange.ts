/** One exchange with the service, and what follows from its answer. */
import { Refusal } from '../protocol/index.ts';
import type { CheckIn, CheckInAnswer, Directive, TrustedVersions } from '../protocol/index.ts';
import type { TrustResult } from '../trust/index.ts';
import { activate } from './activate.ts';
import { nonce, runningImage } from './context.ts';
import type { Context } from './context.ts';
import type { Heard } from './listener.ts';
import { hasEnded, isReplaceable, reportOf } from './state.ts';
import type { Job } from './state.ts';
import { take } from './take.ts';

/** Refusals that may pass by themselves: the fetch is tried again at later check-ins, so many times. */
const TRANSIENT: ReadonlySet<string> = new Set([
  'DOWNLOAD_FAILED',
  'DOWNLOAD_TOO_SLOW',
  'SERVICE_UNREACHABLE',
  'SERVICE_REFUSED',
]);
const ATTEMPTS = 20;

export interface Exchange {
  answer: CheckInAnswer;
  heard: Heard;
}

/** Says how the charger is and hears what is wanted. @throws Refusal */
export async function checkIn(context: Context, signal: AbortSignal | undefined): Promise<Exchange> {
  const { memory, health, trust, host, clock } = context;
  const running = await runningImage(context);
  await health.tick(clock.now(), context.time.correction, running.sha256);
  const { job } = memory.state;
  const fresh = nonce(context);
  const body: CheckIn = {
    nonce: fresh,
    running,
    marks: trustedVersions(trust.current, context.identity.product),
    charging: await host.isCharging(),
    ...(job && !(hasEnded(job) && job.reported) ? { assignment: reportOf(job) } : {}),
    reports: health.take(),
  };
  const answer = await context.transport.checkIn(body, signal);
  const heard = await context.listener.hear(answer.directive, fresh, answer, memory.state.last);
  health.acknowledge(answer.acknowledged);
  memory.applyLazily({ type: 'reported' });
  return { answer, heard };
}

/** The marks, not the set: a refresh that was refused half way has raised some of them. */
function trustedVersions(trusted: TrustResult | undefined, product: string): TrustedVersions {
  if (trusted === undefined) return { root: 0, timestamp: 0 };
  const marks = trusted.set.marks();
  const version = (role: string): number => marks[role]?.version ?? 0;
  return {
    root: version('root'),
    timestamp: version('timestamp'),
    snapshot: version('snapshot'),
    targets: version('targets'),
    product: version(product),
  };
}

/** Does what is wanted as far as it may be done now; what was refused on the way is added to `refusals`. */
export async function act(
  context: Context,
  { directive, distrust }: Heard,
  signal: AbortSignal | undefined,
  refusals: Refusal[],
): Promise<void> {
  const { memory } = context;
  try {
    await accept(context, directive);
    const { job: wanted } = memory.state;
    if (wanted?.phase === 'DOWNLOADING') await fetchAndStage(context, wanted, distrust, signal);
    const { job: staged } = memory.state;
    if (staged?.phase === 'STAGED' && !distrust) {
      const held = await activate(context, staged);
      if (held) refusals.push(held);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error !== distrust) refusals.push(error);
    await giveUp(context, error);
  }
}

/** Takes in what the directive wants. Its number is on disk before anything is done, so that it cannot be played again. */
async function accept({ memory }: Context, directive: Directive): Promise<void> {
  const numbered = { type: 'directive', epoch: directive.epoch, sequence: directive.sequence } as const;
  const { assignment, target, action } = directive;
  const { job } = memory.state;
  if (action === 'none' || !assignment) {
    memory.applyLazily(numbered);
    return;
  }
  await memory.apply(numbered);
  const same = job?.assignment === assignment;
  if (action === 'withdraw' && same && isReplaceable(job) && !hasEnded(job)) {
    throw new Refusal('DIRECTIVE_WITHDRAWN', directive.reason ?? assignment);
  }
  if (action !== 'install' || !target) return;
  // Done already: the service did not hear it.
  if (same && job.phase === 'HEALTHY') memory.applyLazily({ type: 'reportAgain' });
  await memory.apply({ type: 'offered', assignment, target, expires: Date.parse(directive.expires) });
}

async function fetchAndStage(
  context: Context,
  job: Job,
  distrust: Refusal | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { memory, time, trust } = context;
  if (distrust) throw distrust;
  if (!trust.current || time.now() >= job.expires) return;
  if (await runsAlready(context, job)) {
    await memory.apply({ type: 'alreadyRunning' });
    return;
  }
  await memory.apply({ type: 'staged', image: await take(context, trust.current, job, signal) });
}

async function runsAlready(context: Context, job: Job): Promise<boolean> {
  const { booted, trial } = await context.installer.status();
  const { committed } = context.memory.state;
  return !trial && booted.image?.sha256 === job.target.sha256 && committed.sha256 === job.target.sha256;
}

/** A refusal ends the assignment, and the charger goes on with what it runs; what may pass by itself is tried again. */
async function giveUp(context: Context, refusal: Refusal): Promise<void> {
  const { memory, installer } = context;
  const { job } = memory.state;
  if (!job || hasEnded(job)) return;
  if (job.phase === 'DOWNLOADING' && TRANSIENT.has(refusal.code) && job.attempts < ATTEMPTS) {
    await memory.apply({ type: 'attempted' });
    return;
  }
  // First the slot, then the record: whatever happens in between, nothing that was refused boots. An earlier image that still is the
  // way back stays.
  const { inactive, activated } = await installer.status();
  const another = inactive.bootable && !activated && inactive.image?.sha256 !== job.target.sha256;
  if (!another) await installer.discard();
  await memory.apply({ type: 'failed', code: refusal.code, detail: refusal.message });
}
