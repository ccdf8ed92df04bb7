import type { Role } from '../db/index.ts';
import { ApiError } from '../http/index.ts';

export type { Role };

export const ROLES = ['admin', 'release-engineer', 'operator', 'viewer'] as const satisfies readonly Role[];

const EVERYONE: readonly Role[] = ROLES;
const RUNS_THE_FLEET: readonly Role[] = ['admin', 'operator'];
const MAKES_RELEASES: readonly Role[] = ['admin', 'release-engineer'];

/**
 * Who may do what. What is not listed here nobody may do.
 *
 * A role says nothing about being alone: that an author cannot approve their own rollout holds for an admin too, also under another
 * name (`independence.ts`).
 */
export const PERMISSIONS = {
  /** Look at sites, chargers, products, releases and rollouts. */
  read: EVERYONE,
  /** Read and verify the audit log. */
  'audit.read': EVERYONE,
  /** Add a site. */
  'site.write': RUNS_THE_FLEET,
  /** Make enrolment tokens; adopt, replace and retire chargers. */
  'fleet.write': RUNS_THE_FLEET,
  /** Write a rollout plan and submit it. */
  'rollout.create': RUNS_THE_FLEET,
  /** Approve what somebody else wrote. */
  'rollout.approve': RUNS_THE_FLEET,
  /** Pause, resume, halt, roll back, cancel. */
  'rollout.control': RUNS_THE_FLEET,
  /** Upload images and publish signed metadata: products, releases, and what takes them back. */
  'release.publish': MAKES_RELEASES,
  /** Let this service's database follow a store that another service has written into. */
  'repository.take-over': ['admin'],
  /** Add and revoke operators. */
  'operator.manage': ['admin'],
  /** Confirm that somebody whom one admin added is a person of their own; see `independence.ts`. */
  'operator.confirm': RUNS_THE_FLEET,
} as const satisfies Record<string, readonly Role[]>;

export type Permission = keyof typeof PERMISSIONS;

/** Who calls, as their credential alone says. */
export interface Operator {
  organisation: string;
  name: string;
  roles: readonly Role[];
}

export function isAllowed(operator: Operator, permission: Permission): boolean {
  const allowed: readonly Role[] = PERMISSIONS[permission];
  return operator.roles.some((role) => allowed.includes(role));
}

/** @throws ApiError `PERMISSION_DENIED` */
export function requirePermission(operator: Operator, permission: Permission): void {
  if (isAllowed(operator, permission)) return;
  throw new ApiError('PERMISSION_DENIED', `${operator.name} lacks "${permission}".`);
}
