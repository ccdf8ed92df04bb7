/**
 * The words of a rollout. Everything here is plain data: it is stored as JSON, and `decide` maps one value to the next.
 * Times are milliseconds since the epoch, of the fleet's clock; durations say their unit in their name.
 */
import type { Signal } from '@tidegate/client-sdk/protocol';

/**
 * - `DRAFT`: written, not yet submitted; may still be edited.
 * - `AWAITING_APPROVAL`: submitted; nothing moves until the plan has its approvals.
 * - `SCHEDULED`: approved; waits for its start time.
 * - `RUNNING`: waves are open, soaking, or at a gate.
 * - `PAUSED`: nothing is offered and nothing is activated. Downloads and installs that were offered go on until the image is staged,
 *   trial boots that were activated go on to their end, and the detector still judges. Resuming never skips a gate.
 * - `COMPLETED`: every step passed, the hold-back included. Still watched for `plan.watchHours`.
 * - `HALTED`: stopped for cause; `evidence` says which. No offer is made and nothing staged is activated.
 * - `ROLLING_BACK`: every charger that took the release is offered its signed fallback.
 * - `ROLLED_BACK`: each of them is confirmed healthy on its fallback, or listed with the reason why not.
 * - `CANCELLED`: ended by a person before it ran.
 */
export type RolloutStatus =
  | 'DRAFT'
  | 'AWAITING_APPROVAL'
  | 'SCHEDULED'
  | 'RUNNING'
  | 'PAUSED'
  | 'COMPLETED'
  | 'HALTED'
  | 'ROLLING_BACK'
  | 'ROLLED_BACK'
  | 'CANCELLED';

/**
 * State of one step (the canary, a wave, or the hold-back; all three are waves to the state machine).
 * - `PENDING`: an earlier step has not passed yet.
 * - `OPEN`: its chargers are assigned and take the release.
 * - `SOAKING`: enough of them run it healthily; time and exposure gather.
 * - `GATE`: soaked, or skipped for want of chargers; waits for its approvals.
 * - `PASSED`: the next step may open.
 * - `FAILED`: too many of its chargers failed, or the rollout was halted in it.
 */
export type WaveStatus = 'PENDING' | 'OPEN' | 'SOAKING' | 'GATE' | 'PASSED' | 'FAILED';

/**
 * State of one charger in a step. Written is not healthy: success is the new version booted and its health committed.
 * - `PENDING`: drawn into the cohort, nothing offered yet.
 * - `OFFERED`: an install directive was sent.
 * - `DOWNLOADING`, `STAGED`, `WAITING_WINDOW`, `INSTALLING`: as the charger reports.
 * - `VERIFYING`: activated; it boots the release and proves its health. From here on it is treated.
 * - `HEALTHY`: it runs the release and has committed it.
 * - `FAILED`: it refused or fell back by itself; `code` says why.
 * - `LOST`: silent past its deadline.
 * - `ROLLING_BACK`: it is to take its signed fallback.
 * - `ROLLED_BACK`: it runs the fallback healthily.
 * - `SKIPPED`: it never took the release (withdrawn before activation, retired, replaced, or already on it).
 */
export type AssignmentState =
  | 'PENDING'
  | 'OFFERED'
  | 'DOWNLOADING'
  | 'STAGED'
  | 'WAITING_WINDOW'
  | 'INSTALLING'
  | 'VERIFYING'
  | 'HEALTHY'
  | 'FAILED'
  | 'LOST'
  | 'ROLLING_BACK'
  | 'ROLLED_BACK'
  | 'SKIPPED';

export const ASSIGNMENT_STATES = [
  'PENDING',
  'OFFERED',
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
  'VERIFYING',
  'HEALTHY',
  'FAILED',
  'LOST',
  'ROLLING_BACK',
  'ROLLED_BACK',
  'SKIPPED',
] as const satisfies readonly AssignmentState[];

/** How large a step is: a number of chargers, or a share (0 to 1) of the selected ones. */
export type Size = { count: number } | { share: number };

export interface StepPlan {
  name: string;
  size: Size;
  /** Soak counts from the moment the step starts to soak, and needs both. */
  soak: {
    hours: number;
    /** Treated charger-hours of the step with health reports; null: half of size × hours, settled by `createRollout`. */
    chargerHours: number | null;
  };
  /** Approvals needed at the gate after this step, from people other than the author. 0 passes by itself. */
  approvals: number;
}

/** What an operator plans. Parsed by `parsePlan`, which fills the defaults and refuses what cannot work. */
export interface Plan {
  canary: StepPlan;
  waves: StepPlan[];
  /** Control cohort, released as the last step after the final soak. Never empty; it also takes whatever the other steps leave over. */
  holdBack: Size;
  /** Approvals that the plan itself needs before anything runs. */
  approvals: number;
  limits: {
    /** Chargers of one site that may be out of service for the update at one moment. */
    perSite: number;
    /** Chargers of the rollout that may be between offer and health at one moment. */
    inFlight: number;
  };
  /** Time for a charger from its offer to `HEALTHY`; past it the charger is `LOST`. */
  deadlineHours: number;
  /** Share (0 to 1) of a step that may end `FAILED` or `LOST` before the rollout pauses. */
  maxFailedShare: number;
  /** Share of the step that must be `HEALTHY` before its soak begins. */
  healthyShare: number;
  detector: {
    /** Probability of ever halting falsely, over the whole rollout; split across signals. */
    alpha: number;
    /** Rate ratios that the mixture looks for. */
    ratios: number[];
    /** Width of an evidence bin. */
    binMinutes: number;
    /** Events of one charger and signal within this time count once. */
    deduplicateMinutes: number;
  };
  /** How long a completed rollout stays watched. */
  watchHours: number;
  /** Earliest start, or null for as soon as it is approved. */
  startAt: number | null;
}

export interface Approval {
  by: string;
  at: number;
  reason: string;
}

export interface Step {
  kind: 'canary' | 'wave' | 'holdBack';
  name: string;
  status: WaveStatus;
  /** Chargers in it, settled when the rollout is created. */
  size: number;
  /** Both settled; see `StepPlan.soak`. */
  soak: { hours: number; chargerHours: number };
  approvalsNeeded: number;
  approvals: Approval[];
  openedAt: number | null;
  soakingSince: number | null;
  gateSince: number | null;
  passedAt: number | null;
  /** When its cohort was last drawn. */
  drawnAt: number | null;
  /** Why it went to its gate without having taken the release anywhere, or null. */
  skippedBecause: string | null;
}

/** Why a rollout was halted: kept for as long as the rollout is. */
export interface Evidence {
  at: number;
  kind: 'detector' | 'hardEvents' | 'failures' | 'person';
  /** A sentence that an operator understands. */
  sentence: string;
  /** With `detector`: the signal, and the figures it was decided by. */
  signal?: Signal;
  m?: number;
  threshold?: number;
  /** `L_ρ` by ratio. */
  logLikelihood?: Record<string, number>;
  treated?: { events: number; exposure: number };
  control?: { events: number; exposure: number };
  /** What `control` is: chargers without the release at the same time, or the fleet before the rollout. */
  comparison?: 'concurrent' | 'earlier';
  behind?: Behind;
  by?: string;
  reason?: string;
}

/** The treated chargers whose events make up the evidence of the detector. */
export interface Behind {
  /** Those with the most to it, the first one first. */
  chargers: { serial: string; site: string; events: number }[];
  /** All but the first. */
  others: { chargers: number; sites: number };
  /** ln M without the events of the first. */
  lnMWithoutFirst: number;
}

/**
 * Why a step is held: no evidence is a hold, never a pass.
 * - `NOBODY`: it is open, and no charger is in it: all that it could draw were retired, skipped, or busy in another rollout.
 *   It is drawn again each hour, and when somebody resumes it. The canary waits for as long as it takes; any other step is skipped, to its
 *   gate, when it has waited for `deadlineHours`. The others hold a step that has soaked long enough:
 * - `EXPOSURE`: its treated chargers have not reported enough charger-hours.
 * - `CONTROL`: for most of what they reported, no charger without the release reported at the same time: the detector could not compare.
 * The last keeps a step from opening:
 * - `EXPIRING`: a role, every way back, or a certificate would expire while the step soaks and is watched. `Rollout.expiring` says which.
 *   It opens by itself once that has been renewed.
 */
export type Hold = 'NOBODY' | 'EXPOSURE' | 'CONTROL' | 'EXPIRING';

/** When something that the chargers of a step depend on expires. */
export interface Life {
  /**
   * - `ROLE`: `root`, `targets` or the product's role, which people sign.
   * - `FALLBACK`: the last signed way back of some hardware of the release.
   * - `CERTIFICATE`: the service's own, or its CA's.
   * - `CHARGERS`: client certificates of the product's chargers.
   */
  kind: 'ROLE' | 'FALLBACK' | 'CERTIFICATE' | 'CHARGERS';
  /** Name of the role, path of the image, `service` or `CA`, or the product. */
  subject: string;
  /** Of `CHARGERS` the first. ms */
  expires: number;
  /** With `CHARGERS`: how many of them, 0 to 1, end before the watch does. Up to `plan.maxFailedShare` is borne. */
  share?: number;
}

/** What keeps a step from opening. */
export interface Expiring extends Life {
  /** End of the watch period, had the step opened. ms */
  until: number;
}

export interface Rollout {
  id: string;
  organisation: string;
  product: string;
  release: { path: string; version: string; sha256: string; length: number };
  author: string;
  createdAt: number;
  plan: Plan;
  /** Seed of the cohort draw; recorded, so that an auditor can repeat it. */
  seed: string;
  /** Selected chargers when the rollout was created. */
  population: number;
  status: RolloutStatus;
  statusSince: number;
  approvals: Approval[];
  steps: Step[];
  /** The step that is open, soaking or at its gate; -1 before the first. */
  current: number;
  pausedBecause: string | null;
  evidence: Evidence | null;
  /** Why the current step is held, by itself, for as long as that lasts. */
  holding: Hold | null;
  /** What would expire too early, while `holding` is `EXPIRING`. */
  expiring?: Expiring[];
  /** What automatic pauses have already shown to a person, so that resuming is not undone by the same figures: hard-event chargers, and failures in the current step. */
  noticed: {
    hardChargers: number;
    failed: number;
    /** Chargers that the detector's evidence hung on. */
    chargers?: string[];
    /** Chargers that it hung on while their step was still filling: told of once, and no reason to stop yet. */
    told?: string[];
    /** Those of `chargers` that a person has resumed over: their events count no more. */
    overlooked?: string[];
  };
  /** Evidence before this time was overruled by the approvals that sent a halted rollout forward. */
  judgedFrom: number | null;
  /** Who sent a halted rollout forward again; approves it as little as the author does. */
  sentForwardBy?: string;
  /** Whether a halt goes on to `ROLLING_BACK` in the next tick by itself. A person's plain halt does not. */
  rollBackNext: boolean;
  /** Chargers that could not go back, with the reason, by count; the list is in the assignments. */
  unreturned: number;
}

/** What has been counted at one moment: O(steps + signals × bins), never a list of assignments. */
export interface Observation {
  /** By step: how many assignments are in each state, and the treated charger-hours reported since activation. */
  steps: { counts: Partial<Record<AssignmentState, number>>; treatedChargerHours: number }[];
  bins: SignalBin[];
  /** Who the treated events are from, of each signal whose evidence reaches its threshold; of others they may be left out. */
  treated: TreatedCharger[];
  earlier: Earlier;
  /** Hard events (severity 0, boot loop, invalid signature) of treated chargers. */
  hard: { chargers: number; sites: number; code: string | null };
  /** Treated chargers that have no way back, once rollback has been worked out. */
  withoutFallback: number;
}

/** Events and weighted exposure of one signal in one bin, of treated chargers and of concurrent control. */
export interface SignalBin {
  signal: Signal;
  /** Start of the bin. */
  from: number;
  treatedEvents: number;
  treatedExposure: number;
  controlEvents: number;
  controlExposure: number;
}

/** What one treated charger adds to the bins of one signal. Chargers without an event may be left out. */
export interface TreatedCharger {
  signal: Signal;
  serial: string;
  site: string;
  events: {
    /** Start of the bin. */
    from: number;
    count: number;
  }[];
  /** Its weighted exposure in all, and the time that this is of. */
  exposure: number;
  from: number;
  to: number;
}

/** Events and exposure of the selected chargers before the rollout, where weights and comparisons without control come from. */
export type Earlier = Partial<Record<Signal, { events: number; exposure: number }>>;

export type RolloutEvent =
  | { kind: 'submit'; by: string; reason: string }
  | { kind: 'approve'; by: string; reason: string }
  | { kind: 'pause' | 'resume' | 'halt' | 'rollback' | 'cancel'; by: string; reason: string }
  /** `lives` is asked for when `openingOf` names a step, and then holds all that the step depends on. */
  | { kind: 'tick'; observation: Observation; lives?: Life[] };

/** What the shell does after it has committed the new state. Each is idempotent. */
export type RolloutEffect =
  /**
   * Draw the step's cohort and make its assignments, up to its size; a step that was drawn short is filled up. What a halt withdrew from
   * it, and from the steps before it, is `PENDING` again.
   */
  | { kind: 'draw'; step: number }
  /** Skip every assignment that was not activated, the silent too. Offers are closed already: they depend on the rollout's status. */
  | { kind: 'withdraw' }
  /**
   * Choose a signed fallback for every charger on the release, and offer it, or list it with the reason why not. Those that came to the
   * release by another way than this rollout get an assignment for it.
   */
  | { kind: 'rollBack' }
  /** Look again then. */
  | { kind: 'wake'; at: number };

/** Why an event is refused: a value, not an exception. */
export type RolloutRefusal =
  /** The event makes no sense in this status. */
  | 'WRONG_STATUS'
  /** The author may not approve their own rollout. */
  | 'AUTHOR_CANNOT_APPROVE'
  /** This person has approved this already; two approvals are two people. */
  | 'ALREADY_APPROVED'
  /** Nothing waits for an approval now. */
  | 'NOTHING_TO_APPROVE';

export type Decision =
  | {
      ok: true;
      rollout: Rollout;
      effects: RolloutEffect[];
      /** What happened, in words of the audit log. */ notes: string[];
    }
  | { ok: false; code: RolloutRefusal; detail: string };
