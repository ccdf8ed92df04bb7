/**
 * High-water marks: the highest version of each role that this charger has trusted. They are kept apart from the TUF cache, so that
 * a torn or lost cache cannot make the charger accept something older. Design §3, "State".
 *
 * A mark is bound to the role's key set: when the parent gives the role other keys, the mark falls. That is how a fleet recovers from
 * a stolen key that signed version 2^53. TUF 5.3.11
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Refusal, SHA256 } from '../protocol/index.ts';
import { canonicalBytes } from './canonical.ts';
import { keySetHash, type RoleKeys } from './keys.ts';
import { integer, object, oneOf, parseJson, recordOf, text } from './shape.ts';

export interface Mark {
  version: number;
  /** `keySetHash` of the keys under which that version was trusted. */
  keys: string;
}

/** By role name. */
export type Marks = Record<string, Mark>;

export function markOf(version: number, role: RoleKeys): Mark {
  return { version, keys: keySetHash(role.keyids) };
}

/** @throws Refusal METADATA_ROLLBACK when `version` is below the mark and the keys are still the mark's. */
export function refuseBelowMark(marks: Marks, name: string, version: number, role: RoleKeys): void {
  const mark = Object.hasOwn(marks, name) ? marks[name] : undefined;
  if (mark === undefined || mark.keys !== keySetHash(role.keyids) || version >= mark.version) return;
  throw new Refusal('METADATA_ROLLBACK', `${name} ${version} is below the mark ${mark.version}`);
}

/** The role's key set is no longer the one that its mark was made under. */
export function keysChanged(marks: Marks, name: string, role: RoleKeys): boolean {
  const mark = Object.hasOwn(marks, name) ? marks[name] : undefined;
  return mark !== undefined && mark.keys !== keySetHash(role.keyids);
}

const MAX_BYTES = 64 * 1024;
const readMarks = recordOf(
  /^[a-z][a-z0-9.-]{0,159}$/,
  object({ version: integer(1), keys: text(64, SHA256) }),
  64,
);
const readFile = object({ _type: oneOf('tidegate-marks'), marks: readMarks, sha256: text(64, SHA256) });

export function marksToBytes(marks: Marks): Buffer {
  const body = { _type: 'tidegate-marks', marks, sha256: checksum(marks).toString('hex') };
  return Buffer.from(JSON.stringify(body));
}

/** @returns undefined when the bytes are torn: the caller goes on with what the TUF cache still proves. */
export function marksFromBytes(bytes: Uint8Array): Marks | undefined {
  try {
    const { marks, sha256 } = readFile(parseJson(bytes, MAX_BYTES), '');
    return timingSafeEqual(checksum(marks), Buffer.from(sha256, 'hex')) ? marks : undefined;
  } catch {
    return undefined;
  }
}

function checksum(marks: Marks): Buffer {
  return createHash('sha256').update(canonicalBytes(marks)).digest();
}
