/** Real RAUC for one charger of the demo, where this machine has it. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { rauc } from '@tidegate/client-sdk/install/rauc';
import { type Body, type RaucTestbed, raucMissing, startRaucTestbed } from '@tidegate/rollout/simulation/sdk';

export type { RaucTestbed };

const SLOT_BYTES = 64 * 1024 * 1024;

/** RAUC's service on a D-Bus of its own, or the reason why not. Rejects when interrupted. */
export async function openTestbed(folder: string, signal: AbortSignal): Promise<RaucTestbed | string> {
  const missing = raucMissing();
  if (missing !== undefined) return missing;
  await mkdir(folder, { recursive: true });
  return startRaucTestbed(folder, { compatible: 'acme-dc150', slotBytes: SLOT_BYTES, signal });
}

/** A charger's body on top of it. */
export async function raucBody(testbed: RaucTestbed, folder: string): Promise<Body> {
  const intake = path.join(folder, 'intake');
  await mkdir(intake, { recursive: true, mode: 0o700 });
  return {
    installer: rauc({ busAddress: testbed.busAddress, folder: intake, bootId: () => testbed.bootId() }),
    boot: async () => {
      await testbed.boot();
    },
  };
}
