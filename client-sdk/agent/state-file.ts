/** The shape of `agent.json`, field by field: a state that is altered by half would stop the charger at each start. */
import { REFUSALS, SHA256, VERSION } from '../protocol/index.ts';
import {
  arrayOf,
  integer,
  nullable,
  object,
  oneOf,
  parseJson,
  recordOf,
  text,
  truth,
  type Reader,
} from '../trust/shape.ts';
import type { AgentState, Phase } from './state.ts';

const MAX_BYTES = 1024 * 1024;

const sha256 = text(64, SHA256);
const version = text(128, VERSION);
const securityVersion = integer(0);
const path = text(256);
/** ms since the epoch, by a clock that may be wrong. */
const ms: Reader<number> = (value, at) => {
  if (!Number.isFinite(value)) throw new TypeError(`${at} must be a time`);
  return value as number;
};
const format: Reader<1> = (value, at) => {
  if (value !== 1) throw new TypeError(`${at} must be 1`);
  return 1;
};

const fallback = object({ path, sha256, expires: text(40), auto: truth });

const image = object({
  sha256,
  length: integer(1),
  version,
  securityVersion,
  fallback: arrayOf(fallback, 32),
  fallbackSecurityVersions: recordOf(SHA256, securityVersion, 32),
  cap: integer(0),
});

const phase = oneOf(
  'DOWNLOADING',
  'STAGED',
  'INSTALLING',
  'VERIFYING',
  'FALLING_BACK',
  'HEALTHY',
  'ROLLED_BACK',
  'FAILED',
) satisfies Reader<Phase>;

const job = object({
  assignment: text(128),
  target: object({ path, sha256, length: integer(1), version }),
  expires: ms,
  phase,
  waiting: truth,
  attempts: integer(0),
  image: nullable(image),
  bootId: nullable(text(256)),
  bootedAt: nullable(ms),
  code: nullable(oneOf(...(Object.keys(REFUSALS) as (keyof typeof REFUSALS)[]))),
  detail: nullable(text(1000)),
  reported: truth,
});

const state = object({
  format,
  committed: object({ sha256: nullable(sha256), version, securityVersion }),
  fallbackOfInstalled: arrayOf(fallback, 32),
  floor: integer(0),
  fellBackFrom: arrayOf(object({ sha256, at: ms }), 64),
  last: nullable(object({ epoch: integer(1), sequence: integer(1) })),
  job: nullable(job),
});

/** @throws whatever the shape says; the caller makes a refusal of it. */
export function readAgentState(bytes: Uint8Array): AgentState {
  return state(parseJson(bytes, MAX_BYTES), '');
}
