/** The loop on the charger: check in, believe the answer or not, act on it, and see the next boot through. */
import { Refusal } from '../protocol/index.ts';
import type { RefusalCode } from '../protocol/index.ts';
import type { AgentDeps, Context } from './context.ts';
import { act, checkIn } from './exchange.ts';
import { waitForNextPass } from './pace.ts';
import type { Pass } from './pass.ts';
import { start } from './start.ts';
import { progressOf } from './state.ts';
import type { AgentState, Job } from './state.ts';
import { advance } from './trial.ts';

/** OCPP 2.0.1, appendix 1: the security event for firmware whose signature does not verify. */
const INVALID_SIGNATURE = 'InvalidFirmwareSignature';
/** Refusals that honest machines do not cause, and the security event that each is reported as. */
const ALARMS: Partial<Record<RefusalCode, string>> = {
  DIRECTIVE_UNSIGNED: 'DIRECTIVE_UNSIGNED',
  DIRECTIVE_NOT_MINE: 'DIRECTIVE_NOT_MINE',
  DIRECTIVE_NONCE: 'DIRECTIVE_NONCE',
  METADATA_UNSIGNED: 'METADATA_UNSIGNED',
  METADATA_ROLLBACK: 'METADATA_ROLLBACK',
  BUNDLE_INVALID: INVALID_SIGNATURE,
  BUILDER_UNKNOWN: INVALID_SIGNATURE,
  IMAGE_DIGEST: INVALID_SIGNATURE,
};

/** One for a charger and its state folder. Nothing is read or asked before the first call. */
export class Agent {
  readonly #deps: AgentDeps;
  #context: Promise<Context> | undefined;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
  }

  /** What the charger remembers. @throws as `checkInOnce` */
  async state(): Promise<AgentState> {
    return (await this.#started()).memory.state;
  }

  /**
   * Passes until `signal` aborts: as far apart as the service says, with jitter, and longer when it does not answer. Resolves then;
   * a firmware starts it again after a restart, and the work goes on where it was.
   * @throws as `checkInOnce`
   */
  async run(signal: AbortSignal): Promise<void> {
    const context = await this.#started();
    let failures = 0;
    let pollAfter: number | undefined;
    while (!signal.aborted) {
      const pass = await this.#unlessStopped(signal);
      if (!pass) return;
      failures = pass.pollAfter === undefined ? failures + 1 : 0;
      pollAfter = pass.pollAfter ?? pollAfter;
      await waitForNextPass(context, { pass, pollAfter, failures }, signal);
    }
  }

  /**
   * One pass: sees the last boot through, checks in, acts on the directive. Refusals are in the result, never thrown; what is thrown
   * is a fault of this machine (a full disk, say) or of the host's own code. What was under way is on the disk; start again.
   */
  async checkInOnce(signal?: AbortSignal): Promise<Pass> {
    const context = await this.#started();
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

  #started(): Promise<Context> {
    this.#context ??= start(this.#deps);
    return this.#context;
  }

  async #unlessStopped(signal: AbortSignal): Promise<Pass | undefined> {
    try {
      return await this.checkInOnce(signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
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
      const alarm = ALARMS[refusal.code];
      if (alarm) context.health.alarm(context.clock.now(), alarm);
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

async function advanceAll(context: Context): Promise<void> {
  while (await advance(context));
}
