/** The loop on the charger: check in, believe the answer or not, act on it, and see the next boot through. */
import { randomBytes } from 'node:crypto';
import { Refusal } from '../protocol/index.ts';
import type {
  AssignmentProgress,
  CheckIn,
  CheckInAnswer,
  Directive,
  DirectiveAction,
} from '../protocol/index.ts';
import { activate } from './activate.ts';
import { systemClock } from './clock.ts';
import { nonce, runningImage } from './context.ts';
import type { AgentDeps, Context } from './context.ts';
import { HealthLog } from './health-log.ts';
import { Listener } from './listener.ts';
import type { Heard } from './listener.ts';
import { freshState, Memory, readState } from './memory.ts';
import { hasEnded, isReplaceable, progressOf, reportOf } from './state.ts';
import type { AgentState, Job } from './state.ts';
import { take } from './take.ts';
import { TimeKeeper } from './time-keeper.ts';
import { advance, endUnknownTrial } from './trial.ts';
import { TrustKeeper } from './trust-keeper.ts';
import { waitForNextPass } from './pace.ts';

/** What one pass came to. */
export interface Pass {
  /** What the service said; undefined when it could not be reached or believed. */
  action: DirectiveAction | undefined;
  /** Seconds of the fleet's time until the service wants to be asked again; undefined without an answer. */
  pollAfter: number | undefined;
  /** The service has not yet heard of something that this pass changed. */
  news: boolean;
  job: { assignment: string; progress: AssignmentProgress; code: string | null } | undefined;
  /** Everything that was refused, first to last. */
  refusals: Refusal[];
}

/** Refusals that may pass by themselves: the fetch is tried again at later check-ins, so many times. */
const TRANSIENT: ReadonlySet<string> = new Set([
  'DOWNLOAD_FAILED',
  'DOWNLOAD_TOO_SLOW',
  'SERVICE_UNREACHABLE',
  'SERVICE_REFUSED',
]);
const ATTEMPTS = 20;
/** Refusals that honest machines do not cause: somebody is trying something. Reported as security events. */
const ALARMS: ReadonlySet<string> = new Set([
  'DIRECTIVE_UNSIGNED',
  'DIRECTIVE_NOT_MINE',
  'DIRECTIVE_NONCE',
  'METADATA_UNSIGNED',
  'METADATA_ROLLBACK',
  'BUNDLE_INVALID',
  'BUILDER_UNKNOWN',
  'IMAGE_DIGEST',
]);

export class Agent {
  readonly #deps: AgentDeps;
  #context: Promise<Context> | undefined;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
  }

  /** What the charger remembers. */
  async state(): Promise<AgentState> {
    return (await this.#open()).memory.state;
  }

  /** Passes until `signal` aborts: as far apart as the service says, with jitter, and longer when it does not answer. */
  async run(signal: AbortSignal): Promise<void> {
    const context = await this.#open();
    let failures = 0;
    let pollAfter: number | undefined;
    while (!signal.aborted) {
      const pass = await this.checkInOnce(signal);
      failures = pass.pollAfter === undefined ? failures + 1 : 0;
      pollAfter = pass.pollAfter ?? pollAfter;
      await waitForNextPass(context, { pass, pollAfter, failures }, signal);
    }
  }

  /**
   * One pass: sees the last boot through, checks in, acts on the directive. Refusals are in the result, never thrown; what is thrown
   * is a fault of this machine (a full disk, say).
   */
  async checkInOnce(signal?: AbortSignal): Promise<Pass> {
    const context = await this.#open();
    const refusals: Refusal[] = [];
    const before = context.memory.state.job;
    // An installer that fails must not keep the charger from saying so.
    await this.#collecting(refusals, () => advanceAll(context));
    const exchange = await this.#collecting(refusals, () => checkIn(context, signal));
    if (exchange) {
      if (exchange.heard.distrust) refusals.push(exchange.heard.distrust);
      await this.#collecting(refusals, () => act(context, exchange.heard, signal, refusals));
    }
    this.#tell(context, before, refusals);
    const { job } = context.memory.state;
    return {
      action: exchange?.heard.directive.action,
      pollAfter: exchange?.answer.pollAfter,
      news: job !== null && !job.reported && hasMoved(before, job),
      job: job ? { assignment: job.assignment, progress: progressOf(job), code: job.code } : undefined,
      refusals,
    };
  }

  #open(): Promise<Context> {
    this.#context ??= open(this.#deps);
    return this.#context;
  }

  async #collecting<T>(refusals: Refusal[], work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusals.push(error);
      return undefined;
    }
  }

  #tell(context: Context, before: Job | null, refusals: Refusal[]): void {
    for (const refusal of refusals) {
      if (ALARMS.has(refusal.code)) context.health.alarm(context.clock.now(), refusal.code);
      this.#deps.onEvent?.({ type: 'refused', refusal });
    }
    const { job } = context.memory.state;
    if (!job || !hasMoved(before, job)) return;
    const { assignment, phase, code, detail } = job;
    this.#deps.onEvent?.({ type: 'phase', assignment, phase, code, detail });
  }
}

const hasMoved = (before: Job | null, job: Job): boolean =>
  job.assignment !== before?.assignment || job.phase !== before.phase;

async function open(deps: AgentDeps): Promise<Context> {
  const { identity, files, installer, host, transport, clock } = deps;
  const time = await TimeKeeper.open(files, clock, Date.parse(identity.buildTime));
  const trust = new TrustKeeper(files, transport, identity);
  await trust.recall(time.floor);
  const context: Context = {
    identity,
    files,
    installer,
    host,
    transport,
    clock,
    wall: deps.wall ?? systemClock,
    random: deps.random ?? ((bytes) => randomBytes(bytes)),
    memory: new Memory(files, await stateOf(deps)),
    time,
    trust,
    health: await HealthLog.open(files, host, identity.healthBin * 1000),
    listener: new Listener(identity, time, trust),
    rebootAskedAt: undefined,
  };
  await endUnknownTrial(context);
  return context;
}

async function stateOf({ identity, files, installer, onEvent }: AgentDeps): Promise<AgentState> {
  try {
    const state = await readState(files);
    if (state) return { ...state, floor: Math.max(state.floor, identity.securityFloor) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    onEvent?.({ type: 'refused', refusal: error });
  }
  const { booted, inactive, trial } = await installer.status();
  // A trial proves nothing, so what was there before it is what is committed.
  return freshState((trial ? inactive : booted).image ?? identity.factory, identity.securityFloor);
}

async function advanceAll(context: Context): Promise<void> {
  while (await advance(context));
}

interface Exchange {
  answer: CheckInAnswer;
  heard: Heard;
}

async function checkIn(context: Context, signal: AbortSignal | undefined): Promise<Exchange> {
  const { memory, health, trust, host, clock } = context;
  const running = await runningImage(context);
  await health.tick(clock.now(), context.time.correction, running.sha256);
  const { job } = memory.state;
  const fresh = nonce(context);
  const body: CheckIn = {
    nonce: fresh,
    running,
    marks: {
      root: trust.current?.set.root.version ?? 0,
      timestamp: trust.current?.set.timestamp.version ?? 0,
    },
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

async function act(
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
  // Done once already: the service did not hear how it ended.
  if (same && hasEnded(job)) memory.applyLazily({ type: 'reportAgain' });
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
  // First the slot, then the record: whatever happens in between, nothing that was refused boots.
  await installer.discard();
  await memory.apply({ type: 'failed', code: refusal.code, detail: refusal.message });
}
