/** Who is healthy on a release: by what the service says of each charger, and by what each charger says of itself. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { AgentState } from '@tidegate/client-sdk/agent';
import { type Installer, slotFiles } from '@tidegate/client-sdk/install';
import type { ServiceClient } from '@tidegate/server/operator/commands';

/** What a charger that was stopped has on its own disk. */
export interface OwnView {
  serial: string;
  /** Digest of what its boot loader booted. */
  running: string | null;
  /** Digest of the last image that proved healthy. */
  committed: string | null;
  /** Nothing is on trial, activated or under way. */
  settled: boolean;
}

export interface ServiceView {
  serial: string;
  running: { sha256: string | null } | null;
  assignments: { rollout: string; state: string }[];
}

const ENDED: readonly string[] = ['HEALTHY', 'ROLLED_BACK', 'FAILED'];
/** Of other rollouts: never taken, or gone back from. */
const NOT_ON_IT: readonly string[] = ['PENDING', 'SKIPPED', 'ROLLED_BACK'];

/** Serial numbers of the chargers that are healthy on the image which that rollout brought, by both views. */
export function healthyOn(
  sha256: string,
  rollout: string,
  service: readonly ServiceView[],
  own: readonly OwnView[],
): string[] {
  const bySelf = new Map(own.map((view) => [view.serial, view]));
  return service
    .filter(serviceAgrees)
    .filter(chargerAgrees)
    .map(({ serial }) => serial);

  function serviceAgrees({ running, assignments }: ServiceView): boolean {
    const brought = assignments.find((assignment) => assignment.rollout === rollout);
    const others = assignments.filter((assignment) => assignment !== brought);
    return (
      running?.sha256 === sha256 &&
      brought?.state === 'HEALTHY' &&
      others.every(({ state }) => NOT_ON_IT.includes(state))
    );
  }

  function chargerAgrees({ serial }: ServiceView): boolean {
    const view = bySelf.get(serial);
    return view !== undefined && view.settled && view.running === sha256 && view.committed === sha256;
  }
}

export async function serviceViews(client: Pick<ServiceClient, 'get'>): Promise<ServiceView[]> {
  const { items } = await client.get<{ items: { serial: string }[] }>('/fleet', { limit: 500 });
  const views: ServiceView[] = [];
  for (const { serial } of items) views.push(await client.get<ServiceView>(`/fleet/${serial}`));
  return views;
}

/** @param folder holds a folder for each charger with slot files, by serial number */
export async function slotViews(folder: string): Promise<OwnView[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const serials = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return Promise.all(
    serials.map((serial) => {
      const charger = path.join(folder, serial);
      return ownView(serial, path.join(charger, 'state'), slotFiles(path.join(charger, 'slots')));
    }),
  );
}

/** @param state the charger's state folder; one that nothing ever happened to has nothing to remember */
export async function ownView(
  serial: string,
  state: string,
  installer: Pick<Installer, 'status'>,
): Promise<OwnView> {
  const memory = await readFile(path.join(state, 'agent.json'), 'utf8').catch(() => 'null');
  const { committed, job } = (JSON.parse(memory) as AgentState | null) ?? { committed: null, job: null };
  const { booted, trial, activated } = await installer.status();
  return {
    serial,
    running: booted.image?.sha256 ?? null,
    committed: committed?.sha256 ?? null,
    settled: !trial && !activated && (job === null || ENDED.includes(job.phase)),
  };
}
