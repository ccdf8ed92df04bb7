/** From the provisioning file to the parts of an agent. */
import { readFile } from 'node:fs/promises';
import { Refusal } from '../protocol/index.ts';
import { provisionSlots, slotFiles } from '../install/index.ts';
import type { Installer } from '../install/index.ts';
import { rauc } from '../install/rauc.ts';
import type { Identity } from './context.ts';
import { readIdentity } from './enrol.ts';
import { httpsTransport } from './https.ts';
import type { HttpsTransport } from './https.ts';
import type { InstallerConfig, Provisioning } from './provisioning.ts';

/** @throws Refusal `NOT_PROVISIONED` */
export async function identityOf(provisioning: Provisioning): Promise<Identity> {
  return { ...provisioning, root: await readProvisioned(provisioning.root) };
}

/** Slot files are made where there are none yet; RAUC's slots belong to RAUC. */
export async function installerOf(
  config: InstallerConfig,
  factory: Provisioning['factory'],
): Promise<Installer> {
  if (config.kind === 'rauc') return rauc({ busAddress: config.busAddress, folder: config.intake });
  await provisionSlots(config.folder, factory);
  return slotFiles(config.folder);
}

/** @param anonymous before the enrolment, when there is no certificate yet. @throws Refusal `NOT_PROVISIONED` */
export async function transportOf(provisioning: Provisioning, anonymous = false): Promise<HttpsTransport> {
  const ca = (await readProvisioned(provisioning.serviceCa)).toString('utf8');
  const service = { service: provisioning.service, ca, builtAt: Date.parse(provisioning.buildTime) };
  if (anonymous) return httpsTransport(service);
  const client = await readIdentity(provisioning.state);
  if (!client)
    throw new Refusal('NOT_PROVISIONED', 'not enrolled yet: run `tidegate-charger enrol --token …`');
  return httpsTransport({ ...service, client });
}

async function readProvisioned(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Refusal('NOT_PROVISIONED', `cannot read ${path}`, { cause: error });
  }
}
