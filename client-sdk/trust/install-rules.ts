/** Whether this charger may go from what it runs to a target, and how its floor rises. Pure. Design §3. */
import {
  compareVersions,
  Refusal,
  type Fallback,
  type ReleaseTarget,
  type TrustPolicy,
} from '../protocol/index.ts';
import { refuseByPolicy } from './release.ts';

/** A charger that fell back from one image this often … */
const MAX_FALLS = 2;
/** … within this time takes it no more, whoever approves it. */
const FALLS_WINDOW_MS = 30 * 24 * 60 * 60 * 1000;

export interface InstallState {
  /**
   * The last image that was committed as healthy; `sha256` is null for a factory image without a record. A trial boot is never in
   * here, and that is why leaving one is no downgrade.
   */
  committed: { sha256: string | null; version: string; securityVersion: number };
  /** Lowest security version that this charger takes. */
  floor: number;
  /** Signed fallbacks of the committed image: the current role's entry, else the one persisted at its install. */
  fallbackOfInstalled: readonly Fallback[];
  /** Images that this charger fell back from, with the time in milliseconds. */
  fellBackFrom: readonly { sha256: string; at: number }[];
}

export interface InstallQuestion {
  target: ReleaseTarget;
  charger: { product: string; hardware: string };
  state: InstallState;
  policy: TrustPolicy;
  now: number;
}

/**
 * Returns when the charger may install the target.
 * @throws Refusal PRODUCT_MISMATCH, HARDWARE_MISMATCH, DENIED, BELOW_FLOOR, BELOW_EMERGENCY_FLOOR, ABOVE_CAP, REPEATEDLY_FAILED,
 * DOWNGRADE_UNSIGNED
 */
export function decideInstall({ target, charger, state, policy, now }: InstallQuestion): void {
  refuseByPolicy(target, charger.product, policy);
  if (!target.custom.hardware.includes(charger.hardware)) {
    throw new Refusal(
      'HARDWARE_MISMATCH',
      `${charger.hardware} is not among ${target.custom.hardware.join(', ')}`,
    );
  }
  if (!(target.custom.securityVersion >= state.floor)) {
    throw new Refusal('BELOW_FLOOR', `${target.custom.securityVersion} is below ${state.floor}`);
  }
  refuseRepeatedFailure(target, state, now);
  refuseUnsignedDowngrade(target, state, now);
}

function refuseRepeatedFailure({ sha256 }: ReleaseTarget, { fellBackFrom }: InstallState, now: number): void {
  const falls = fellBackFrom.filter((fall) => fall.sha256 === sha256 && now - fall.at < FALLS_WINDOW_MS);
  if (falls.length >= MAX_FALLS) throw new Refusal('REPEATEDLY_FAILED', `${falls.length} times`);
}

function refuseUnsignedDowngrade(target: ReleaseTarget, state: InstallState, now: number): void {
  const { committed, fallbackOfInstalled } = state;
  const order = compareVersions(target.custom.version, committed.version);
  const sameBytes = target.sha256 === committed.sha256;
  if (order > 0 || (order === 0 && sameBytes)) return;
  const signed = fallbackOfInstalled.some(
    (way) => way.sha256 === target.sha256 && way.path === target.path && now < Date.parse(way.expires),
  );
  if (!signed) {
    throw new Refusal('DOWNGRADE_UNSIGNED', `${target.custom.version} after ${committed.version}`);
  }
}

export interface CommitQuestion {
  floor: number;
  /** The image that has just proved itself healthy, with its signed fallbacks. */
  committed: { securityVersion: number; fallback: readonly Fallback[] };
  /** The product role's security version of a fallback; undefined where the role does not list it any more. */
  securityVersionOf: (fallback: Fallback) => number | undefined;
  /** `securityVersionCap` of the policy. */
  cap: number;
  now: number;
}

/**
 * The floor after a health commit: the lowest security version among the fallbacks still allowed, never lower than before, never above
 * the committed image or the cap. The emergency floor has no part in it, because it is never latched. Before the new floor is stored,
 * a slot below it must be made unbootable.
 */
export function floorAfterCommit({ floor, committed, securityVersionOf, cap, now }: CommitQuestion): number {
  const ways = committed.fallback
    .filter((way) => now < Date.parse(way.expires))
    .map(securityVersionOf)
    .filter((version) => version !== undefined);
  return Math.max(floor, Math.min(committed.securityVersion, cap, ...ways));
}
