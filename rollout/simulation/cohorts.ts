import { allocate, drawOffset, ringDistance } from '@tidegate/rollout/core';

interface Member {
  serial: string;
  stratum: string;
  key: number;
}

/** Draws the next `n` chargers, as the shell does in pages: per stratum the next ones on the ring that no earlier step took. */
export function drawCohort<T extends Member>(
  fleet: readonly T[],
  taken: ReadonlySet<string>,
  n: number,
  seed: string,
): T[] {
  const strata = [...new Set(fleet.map((each) => each.stratum))].sort();
  const members = new Map(strata.map((stratum) => [stratum, onRing(fleet, stratum, seed)]));
  const counts = allocate(
    [...members].map(([stratum, all]) => ({
      stratum,
      size: all.length,
      taken: all.filter((each) => taken.has(each.serial)).length,
    })),
    n,
  );
  return counts.flatMap(({ stratum, count }) =>
    (members.get(stratum) ?? []).filter((each) => !taken.has(each.serial)).slice(0, count),
  );
}

function onRing<T extends Member>(fleet: readonly T[], stratum: string, seed: string): T[] {
  const offset = drawOffset(seed, stratum);
  return fleet
    .filter((each) => each.stratum === stratum)
    .sort(
      (a, b) => ringDistance(a.key, offset) - ringDistance(b.key, offset) || (a.serial < b.serial ? -1 : 1),
    );
}
