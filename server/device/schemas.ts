/**
 * The device API's bodies, as they are checked. The protocol's types say what the fields mean; here every one is bounded.
 * Fields that a newer charger adds are dropped, not refused: a charger in the field cannot be asked to send less.
 */
import { z } from 'zod';
import {
  ASSIGNMENT,
  type AssignmentProgress,
  type CheckIn,
  type Confirm,
  type EnrolRequest,
  HARDWARE,
  type HealthReport,
  LIMITS,
  SERIAL,
  SHA256,
  SIGNAL_NAMES,
  VERSION,
} from '@tidegate/client-sdk/protocol';

const PROGRESS = [
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
  'VERIFYING',
  'HEALTHY',
  'ROLLED_BACK',
  'FAILED',
] as const satisfies readonly AssignmentProgress[];

/** 16 bytes in base64url. */
const nonce = z.string().regex(/^[A-Za-z0-9_-]{22}$/);
/** Also one that is not ours: a charger that took it from a stolen director must be able to say so, and to come back. */
const assignment = z.string().regex(ASSIGNMENT);
const sha256 = z.string().regex(SHA256);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const time = z.iso.datetime({ offset: false }).max(40);
/** What a charger may choose for the operator's eyes: printable, because it ends up on a terminal and in PostgreSQL, which holds no NUL. */
const printable = (longest: number) =>
  z
    .string()
    .max(longest)
    .transform((text) => text.replaceAll(/[\p{C}]/gu, '?'));
/** More than a charger can gather in one bin is an error of the charger's. */
const amount = z.number().min(0).max(1_000_000);

const report = z.object({
  sequence: count.min(1),
  from: time,
  to: time,
  sha256: sha256.nullable(),
  exposure: z.object({
    attempts: amount.exactOptional(),
    connectorHours: amount.exactOptional(),
    chargerHours: amount.exactOptional(),
    transactions: amount.exactOptional(),
  }),
  events: z
    .array(
      z.object({
        at: time,
        signal: z.enum(SIGNAL_NAMES),
        code: printable(64),
        severity: z.number().int().min(0).max(9).exactOptional(),
      }),
    )
    .max(LIMITS.eventsPerReport),
}) satisfies z.ZodType<HealthReport>;

export const checkInSchema = z.object({
  nonce,
  running: z.object({
    sha256: sha256.nullable(),
    version: z.string().max(128).regex(VERSION),
    securityVersion: count,
  }),
  marks: z.object({
    root: count,
    timestamp: count,
    snapshot: count.exactOptional(),
    targets: count.exactOptional(),
    product: count.exactOptional(),
  }),
  charging: z.boolean(),
  assignment: z
    .object({
      assignment,
      progress: z.enum(PROGRESS),
      code: printable(64).exactOptional(),
      detail: printable(500).exactOptional(),
      bytes: z.object({ done: count, total: count }).exactOptional(),
    })
    .exactOptional(),
  reports: z.array(report).max(LIMITS.reportsPerCheckIn),
}) satisfies z.ZodType<CheckIn>;

export const confirmSchema = z.object({ nonce, assignment, sha256 }) satisfies z.ZodType<Confirm>;

export const enrolSchema = z.object({
  token: z.string().min(1).max(256),
  serial: z.string().regex(SERIAL),
  hardware: z.string().regex(HARDWARE),
  csr: z.string().max(8 * 1024),
}) satisfies z.ZodType<EnrolRequest>;
