/**
 * The wire contract between charger and service. All bodies are JSON in UTF-8; times are RFC 3339 in UTC.
 *
 * | Request                         | Client certificate | Body → answer                      |
 * |---------------------------------|--------------------|------------------------------------|
 * | `POST /device/v1/enrol`         | none               | `EnrolRequest` → `EnrolAnswer`     |
 * | `POST /device/v1/check-in`      | required           | `CheckIn` → `CheckInAnswer`        |
 * | `POST /device/v1/confirm`       | required           | `Confirm` → `ConfirmAnswer`        |
 * | `GET /tuf/metadata/<file>`      | required           | TUF metadata                       |
 * | `GET /tuf/targets/<path>`       | required           | consistent-snapshot names, `Range` |
 *
 * A refusal is an RFC 9457 problem (`application/problem+json`) with a `code`.
 */
import type { Envelope } from './directive.ts';
import type { Exposure, Signal } from './signals.ts';

/** Longest bodies that are read, in bytes. */
export const LIMITS = {
  checkInBody: 64 * 1024,
  answerBody: 64 * 1024,
  reportsPerCheckIn: 64,
  eventsPerReport: 200,
} as const;

export interface EnrolRequest {
  /** One-time token, bound to the serial number. */
  token: string;
  serial: string;
  hardware: string;
  /** PKCS #10 request (PEM) of a key made on the charger; its signature proves possession. */
  csr: string;
}

export interface EnrolAnswer {
  /** Leaf certificate, PEM. Subject CN is the serial number, O the organisation. */
  certificate: string;
  /** CA certificates, PEM, for the client's chain. */
  chain: string;
}

/** What a charger runs. */
export interface RunningImage {
  /** SHA-256 of the image as it was installed; null where a factory image has none on record. */
  sha256: string | null;
  version: string;
  securityVersion: number;
}

/**
 * How far the charger is with an assignment, in the words of design §4. `HEALTHY` is said only after the health commit;
 * `ROLLED_BACK` when the charger runs its earlier image again after a trial boot that failed.
 */
export type AssignmentProgress =
  | 'DOWNLOADING'
  | 'STAGED'
  | 'WAITING_WINDOW'
  | 'INSTALLING'
  | 'VERIFYING'
  | 'HEALTHY'
  | 'ROLLED_BACK'
  | 'FAILED';

export interface AssignmentReport {
  assignment: string;
  progress: AssignmentProgress;
  /** Code of the refusal or failure, with `FAILED` and `ROLLED_BACK`. */
  code?: string;
  /** One sentence for the operator, with `FAILED` and `ROLLED_BACK`; at most 500 characters. */
  detail?: string;
  /** Bytes fetched so far and in all, with `DOWNLOADING`. */
  bytes?: { done: number; total: number };
}

export interface HealthEvent {
  /** When it happened, on the charger's trusted clock. */
  at: string;
  signal: Signal;
  /** E.g. an OCPP error code. At most 64 characters. */
  code: string;
  /** OCPP 2.0.1 NotifyEvent severity: 0 danger … 9 debug. */
  severity?: number;
}

/**
 * One bin of health. Sent at least once, counted once: the service takes a report only if its `sequence` is above the last one it holds.
 * A bin never spans the activation of another image.
 */
export interface HealthReport {
  /** Rises by one with each report of this charger. */
  sequence: number;
  from: string;
  to: string;
  /** Digest of the image that ran during the bin; null as in `RunningImage`. */
  sha256: string | null;
  exposure: Exposure;
  events: HealthEvent[];
}

/** Versions of the TUF metadata that the charger trusts; 0 before it trusts any. Older firmware reports the first two alone. */
export interface TrustedVersions {
  root: number;
  timestamp: number;
  snapshot?: number;
  targets?: number;
  /** Of the charger's own product role. */
  product?: number;
}

export interface CheckIn {
  /** 16 random bytes, base64url. */
  nonce: string;
  running: RunningImage;
  /** So that a service which was restored from a backup learns that it is behind. */
  marks: TrustedVersions;
  /** Whether a charging session is active. */
  charging: boolean;
  assignment?: AssignmentReport;
  reports: HealthReport[];
}

export interface CheckInAnswer {
  /** DSSE over a `Directive`. */
  directive: Envelope;
  /** The current `timestamp.json`, verbatim, so that an idle poll is one request. */
  timestamp: string;
  /** Version of the newest root. */
  rootVersion: number;
  /** Highest health report that is committed; everything up to it may be forgotten. */
  acknowledged: number;
  /** Seconds of the fleet's time until the next check-in; the charger adds its own jitter. */
  pollAfter: number;
}

/** Asked right before activation. No live confirmation, no activation. */
export interface Confirm {
  nonce: string;
  assignment: string;
  sha256: string;
}

export interface ConfirmAnswer {
  /** DSSE over a `Directive` whose action is `activate` or `withdraw`. */
  directive: Envelope;
}
