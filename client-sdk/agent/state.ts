/**
 * What the charger remembers, and every way in which it changes: `step` is a pure function, and `agent.json` is written whole after
 * each change that matters, so that a kill at any moment resumes. Where a step does not fit the state, nothing changes: a doubled
 * answer or a resumed action is harmless.
 *
 * | Phase          | The inactive slot                    | Left by                                             |
 * |----------------|--------------------------------------|-----------------------------------------------------|
 * | `DOWNLOADING`  | unbootable, filling                  | `staged`, `failed`                                  |
 * | `STAGED`       | whole, unbootable                    | `activating`, `failed`, `booted` (cut right before) |
 * | `INSTALLING`   | on trial at the next boot            | `booted`, `fellBack`, `resumed` (no boot happened)  |
 * | `VERIFYING`    | is the booted one, on trial          | `committed`, `rejecting`, `fellBack`                |
 * | `FALLING_BACK` | the booted one is unbootable         | `fellBack`, `failed` (the boot loader will not)     |
 * | `HEALTHY`      | end: the new image is committed      | `offered`, another assignment                       |
 * | `ROLLED_BACK`  | end: the earlier image runs again    | `offered`, the same only once this was reported     |
 * | `FAILED`       | end: the charger runs what it ran    | `offered`, the same only once this was reported     |
 */
import type {
  AssignmentProgress,
  AssignmentReport,
  DirectiveTarget,
  Fallback,
  RefusalCode,
  RunningImage,
} from '../protocol/index.ts';
import type { VerifiedImage } from '../install/index.ts';

export type Phase =
  | 'DOWNLOADING'
  | 'STAGED'
  | 'INSTALLING'
  | 'VERIFYING'
  | 'FALLING_BACK'
  | 'HEALTHY'
  | 'ROLLED_BACK'
  | 'FAILED';

/** What was verified of an image when it was staged, so that a commit needs no network. */
export interface StagedImage extends VerifiedImage {
  fallback: Fallback[];
  /** Of each fallback's digest that the product role listed. */
  fallbackSecurityVersions: Record<string, number>;
  /** The policy's cap. */
  cap: number;
}

export interface Job {
  assignment: string;
  target: DirectiveTarget;
  /** ms: from then on the directive does not start a download any more. */
  expires: number;
  phase: Phase;
  /** Staged, and held up by a session, the window or the service. */
  waiting: boolean;
  /** Fetches that failed for reasons that may pass. */
  attempts: number;
  image: StagedImage | null;
  /** Boot during which the phase began, with `INSTALLING` and `FALLING_BACK`. */
  bootId: string | null;
  /** ms: when the trial boot was first seen, with `VERIFYING`. */
  bootedAt: number | null;
  code: RefusalCode | null;
  detail: string | null;
  /** The service has committed a report of this phase. */
  reported: boolean;
}

export interface AgentState {
  format: 1;
  /** The last image that proved healthy. */
  committed: RunningImage;
  /** Signed ways down from it, as they were when it was staged. */
  fallbackOfInstalled: Fallback[];
  /** Security floor. Never sinks. */
  floor: number;
  fellBackFrom: { sha256: string; at: number }[];
  /** Of the last directive that was acted on. */
  last: { epoch: number; sequence: number } | null;
  job: Job | null;
}

export type AgentEvent =
  | { type: 'directive'; epoch: number; sequence: number }
  | { type: 'offered'; assignment: string; target: DirectiveTarget; expires: number }
  | { type: 'attempted' }
  | { type: 'staged'; image: StagedImage }
  | { type: 'waiting' }
  | { type: 'activating'; bootId: string }
  | { type: 'resumed' }
  | { type: 'booted'; at: number }
  /** The clock by which the trial boot was seen was set since. */
  | { type: 'clockSet'; at: number }
  | { type: 'committed'; floor: number }
  /** The directive names what is committed already. */
  | { type: 'alreadyRunning' }
  | { type: 'rejecting'; bootId: string; code: RefusalCode; detail: string }
  | { type: 'fellBack'; at: number; code: RefusalCode; detail: string }
  | { type: 'failed'; code: RefusalCode; detail: string }
  | { type: 'reported' }
  | { type: 'reportAgain' };

/** How many images that were fallen back from are remembered. */
const FELL_BACK_KEPT = 32;
/** Longest detail, see `AssignmentReport`. */
const DETAIL = 500;

const ENDED: ReadonlySet<Phase> = new Set(['HEALTHY', 'ROLLED_BACK', 'FAILED']);
/** A new image may replace what is fetched or staged, not what boots or proves itself. */
const REPLACEABLE: ReadonlySet<Phase> = new Set([...ENDED, 'DOWNLOADING', 'STAGED']);

export const hasEnded = (job: Job): boolean => ENDED.has(job.phase);
export const isReplaceable = (job: Job | null): boolean => job === null || REPLACEABLE.has(job.phase);

/** Offered again after the service heard that it failed: it knows, and wants it all the same. A way back is tried until it works. */
const mayTryAgain = (job: Job): boolean =>
  job.reported && (job.phase === 'FAILED' || job.phase === 'ROLLED_BACK');

export function step(state: AgentState, event: AgentEvent): AgentState {
  if (event.type === 'directive') {
    return { ...state, last: { epoch: event.epoch, sequence: event.sequence } };
  }
  if (event.type === 'offered') {
    if (!isReplaceable(state.job)) return state;
    if (state.job?.assignment === event.assignment && !mayTryAgain(state.job)) return state;
    return { ...state, job: newJob(event) };
  }
  const { job } = state;
  if (!job) return state;
  switch (event.type) {
    case 'attempted':
      return moved(state, job, ['DOWNLOADING'], {
        attempts: job.attempts + 1,
        reported: job.reported,
      });
    case 'staged':
      return moved(state, job, ['DOWNLOADING'], { phase: 'STAGED', image: event.image });
    case 'waiting':
      return job.waiting ? state : moved(state, job, ['STAGED'], { waiting: true });
    case 'activating':
      return moved(state, job, ['STAGED'], { phase: 'INSTALLING', waiting: false, bootId: event.bootId });
    case 'resumed':
      return moved(state, job, ['INSTALLING'], { phase: 'STAGED', bootId: null });
    case 'booted':
      return moved(state, job, ['STAGED', 'INSTALLING'], { phase: 'VERIFYING', bootedAt: event.at });
    case 'clockSet':
      return moved(state, job, ['VERIFYING'], { bootedAt: event.at, reported: job.reported });
    case 'committed':
      return commit(state, job, event.floor);
    case 'alreadyRunning':
      return moved(state, job, ['DOWNLOADING'], { phase: 'HEALTHY' });
    case 'rejecting':
      return moved(state, job, ['VERIFYING', 'FALLING_BACK'], {
        phase: 'FALLING_BACK',
        attempts: job.phase === 'FALLING_BACK' ? job.attempts + 1 : 0,
        bootId: event.bootId,
        code: event.code,
        detail: cut(event.detail),
      });
    case 'fellBack':
      return fallBack(state, job, event);
    case 'failed':
      return moved(state, job, ['DOWNLOADING', 'STAGED', 'INSTALLING', 'FALLING_BACK'], {
        phase: 'FAILED',
        code: event.code,
        detail: cut(event.detail),
      });
    case 'reported':
      return job.reported ? state : { ...state, job: { ...job, reported: true } };
    case 'reportAgain':
      return { ...state, job: { ...job, reported: false } };
  }
}

/** The words of design §4 for a phase. */
export function progressOf(job: Job): AssignmentProgress {
  if (job.phase === 'FALLING_BACK') return 'VERIFYING';
  return job.phase === 'STAGED' && job.waiting ? 'WAITING_WINDOW' : job.phase;
}

/** What the service is told about it. */
export function reportOf(job: Job): AssignmentReport {
  return {
    assignment: job.assignment,
    progress: progressOf(job),
    ...(job.code !== null ? { code: job.code } : {}),
    ...(job.detail !== null ? { detail: job.detail } : {}),
  };
}

function newJob(offer: { assignment: string; target: DirectiveTarget; expires: number }): Job {
  return {
    assignment: offer.assignment,
    target: offer.target,
    expires: offer.expires,
    phase: 'DOWNLOADING',
    waiting: false,
    attempts: 0,
    image: null,
    bootId: null,
    bootedAt: null,
    code: null,
    detail: null,
    reported: false,
  };
}

function moved(state: AgentState, job: Job, from: readonly Phase[], change: Partial<Job>): AgentState {
  if (!from.includes(job.phase)) return state;
  return { ...state, job: { ...job, reported: false, ...change } };
}

function commit(state: AgentState, job: Job, floor: number): AgentState {
  if (job.phase !== 'VERIFYING' || !job.image) return state;
  const { sha256, version, securityVersion, fallback } = job.image;
  return {
    ...state,
    committed: { sha256, version, securityVersion },
    fallbackOfInstalled: fallback,
    floor: Math.max(state.floor, floor),
    job: { ...job, phase: 'HEALTHY', reported: false },
  };
}

function fallBack(
  state: AgentState,
  job: Job,
  event: { at: number; code: RefusalCode; detail: string },
): AgentState {
  const after = moved(state, job, ['INSTALLING', 'VERIFYING', 'FALLING_BACK'], {
    phase: 'ROLLED_BACK',
    code: event.code,
    detail: cut(event.detail),
  });
  if (after === state) return state;
  const fellBackFrom = [...state.fellBackFrom, { sha256: job.target.sha256, at: event.at }];
  return { ...after, fellBackFrom: fellBackFrom.slice(-FELL_BACK_KEPT) };
}

const cut = (detail: string): string => (detail.length > DETAIL ? `${detail.slice(0, DETAIL - 1)}…` : detail);
