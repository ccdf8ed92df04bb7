import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { completeCredentials } from '@tidegate/signer/commands';
import { bootstrapOperators, type DeviceAuthority, operatorEntries } from '../identity/index.ts';
import { bootstrapRepository, type PublishingDeps } from '../publishing/index.ts';
import { parseJson, type ServiceConfig } from './config.ts';

/** What a first start lays down; later ones find it there. */
export async function bootstrap(
  config: ServiceConfig,
  publishing: PublishingDeps,
  authority: DeviceAuthority,
  log: Logger,
): Promise<void> {
  const { db, organisation, clock } = publishing;
  const at = new Date(clock.now());
  await mkdir(publishing.staging, { recursive: true, mode: 0o700 });
  await db
    .insertInto('organisations')
    .values({ id: organisation, name: organisation, created_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const added = await bootstrapOperators(db, organisation, await readOperators(config), at);
  if (added.length > 0) log.info({ operators: added }, 'Operators were added.');
  const fenced = (error: Error): void => log.error({ err: error }, 'This service publishes nothing.');
  if (await bootstrapRepository(publishing, join(config.folder, 'initial'), fenced)) {
    log.info({ organisation }, 'The first metadata was published.');
  }
  await completeCredentials(join(config.home, 'credentials'), authority.certificate);
}

async function readOperators(config: ServiceConfig): Promise<ReturnType<typeof operatorEntries.parse>> {
  const path = join(config.folder, 'operators.json');
  // Without the file nobody is added; people may have been added through the API.
  const text = await readFile(path, 'utf8').catch(() => '[]');
  return parseJson(path, text, operatorEntries);
}
