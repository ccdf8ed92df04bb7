/** What a transaction of check-ins reads, and edits in memory before it writes it back. */
import type { CheckIn, TrustedVersions } from '@tidegate/client-sdk/protocol';
import type { Assignment, Rollout } from '@tidegate/rollout/core';
import type { Baseline, ChosenFallback, Row } from '../../db/index.ts';
import type { ChargerIdentity } from '../../identity/index.ts';
import type { LastEvents } from './events.ts';

/** One check-in, from a charger that TLS and its certificate have identified. */
export interface Visit {
  charger: ChargerIdentity;
  body: CheckIn;
}

/** A charger as this transaction holds it: its row is locked, and written once at the end. */
export interface Visitor {
  serial: string;
  product: string;
  site: string;
  /** Fingerprint of the certificate that counts now. */
  certificateSha256: string | null;
  online: boolean;
  /** ms; null before the first check-in. */
  lastSeenAt: number | null;
  lastReport: number;
  /** ms: end of the latest report; at first the enrolment. Null where neither is known. */
  reportedTo: number | null;
  /** Last report under earlier certificates, 0 for none, and its end. */
  earlier: { report: number; reportedTo: number | null };
  lastSequence: number;
  baseline: Baseline;
  running: { sha256: string | null; version: string | null; securityVersion: number | null };
  charging: boolean;
  marks: Partial<TrustedVersions>;
  assignments: Held[];
  lastEvents: LastEvents;
}

/** An assignment with what it takes to write it back. */
export interface Held extends Assignment {
  id: string;
  rollout: string;
  step: number;
  /** ms: when the service confirmed the activation. `activatedAt` may be the charger's own word. */
  confirmedAt: number | null;
  fromSha256: string | null;
  fallback: ChosenFallback | null;
  /** ms; null while the way back waits for room within the limits. */
  backOfferedAt: number | null;
}

/** A rollout as far as check-ins care. */
export interface Watched {
  rollout: Rollout;
  meanRates: Row<'rollouts'>['mean_rates'];
}

export interface Batch {
  organisation: string;
  /** ms of the fleet's clock. */
  now: number;
  visitors: Map<string, Visitor>;
  /** Every rollout that a visitor has an assignment in, and every live one of its product; by id. */
  rollouts: Map<string, Watched>;
  /** Live rollouts by product: those that evidence is gathered for, and for which baselines stay frozen. */
  live: Map<string, Watched[]>;
  /** Digests that may be wanted of a visitor but are barred, and why. */
  barred: Map<string, string>;
  /** Assignments, by id, of chargers that run a release which was taken back although they were thought to be off it. */
  stragglers: Set<string>;
  /** Rollouts whose counts or evidence changed: the doorbell rings for them after the commit. */
  changed: Set<string>;
}
