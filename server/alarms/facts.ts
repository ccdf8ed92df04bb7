import type { Clock } from '@tidegate/client-sdk/protocol';
import type { Lifetimes } from '@tidegate/rollout/shell';
import type { BlobStore } from '@tidegate/signer/repository';
import type { Db } from '../db/index.ts';
import { loadAhead, type RefreshFailure, roleExpiries, type RoleExpiry } from '../publishing/index.ts';
import type { Facts } from './alarms.ts';
import { endingBefore, loadChargerCertificates } from './certificates.ts';
import { lastWayBack, loadFallbacks } from './releases.ts';

export interface FactsDeps {
  db: Db;
  blobs: BlobStore;
  /** The fleet's. */
  clock: Clock;
  wall: Clock;
  /** The service's certificate and its CA's as they are now. */
  certificates: () => Facts['certificates'];
  refreshFailure: () => RefreshFailure | undefined;
}

/** Everything that expires, or has stopped, of one organisation. */
export function factsOf(deps: FactsDeps): (organisation: string) => Promise<Facts> {
  const { db, clock, wall, certificates, refreshFailure } = deps;
  const rolesOf = rolesByOrganisation(deps);
  return async (organisation) => {
    const { roles, unreadable } = await readRoles(() => rolesOf(organisation));
    return {
      roles,
      unreadable,
      refresh: refreshFailure() ?? null,
      ahead: await loadAhead(db, organisation, clock.now()),
      fallbacks: await loadFallbacks(db, organisation),
      certificates: certificates(),
      chargers: await loadChargerCertificates(db, organisation, wall.now()),
    };
  };
}

/**
 * What a step depends on. Certificates live on the wall's clock: what they have left there is taken for what they have left on the fleet's,
 * which is too little where that one is faster, and right in production.
 */
export function rolloutLifetimes(deps: FactsDeps): Lifetimes {
  const { db, clock, wall, certificates } = deps;
  const rolesOf = rolesByOrganisation(deps);
  return {
    async of({ organisation, product, release }, { until }) {
      const shift = clock.now() - wall.now();
      const roles = (await rolesOf(organisation)).filter(({ role }) =>
        ['root', 'targets', product].includes(role),
      );
      const wayBack = await lastWayBack(db, organisation, { product, path: release.path });
      const chargers = await endingBefore(db, { organisation, product }, until - shift);
      return [
        ...roles.map(({ role, expires }) => ({ kind: 'ROLE' as const, subject: role, expires })),
        ...(wayBack === undefined
          ? []
          : [{ kind: 'FALLBACK' as const, subject: wayBack.path, expires: wayBack.expires }]),
        ...certificates().map(({ subject, expires }) => ({
          kind: 'CERTIFICATE' as const,
          subject,
          expires: expires + shift,
        })),
        ...(chargers === undefined
          ? []
          : [
              {
                kind: 'CHARGERS' as const,
                subject: product,
                expires: chargers.first + shift,
                share: chargers.share,
              },
            ]),
      ];
    },
  };
}

/** What was read once is not read again: a version never says anything else. */
function rolesByOrganisation({ db, blobs }: FactsDeps): (organisation: string) => Promise<RoleExpiry[]> {
  const readers = new Map<string, () => Promise<RoleExpiry[]>>();
  return (organisation) => {
    const reader = readers.get(organisation) ?? roleExpiries({ db, blobs, organisation });
    readers.set(organisation, reader);
    return reader();
  };
}

async function readRoles(
  read: () => Promise<RoleExpiry[]>,
): Promise<{ roles: RoleExpiry[]; unreadable: string | null }> {
  try {
    return { roles: await read(), unreadable: null };
  } catch (error) {
    return { roles: [], unreadable: error instanceof Error ? error.message : String(error) };
  }
}
