import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootSelect, provisionSlots, slotFiles } from '@tidegate/client-sdk/install';
import { installerContract } from './installer.ts';

installerContract('slot-files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tg-slots-'));
  await provisionSlots(folder, { sha256: null, version: '1.0.0', securityVersion: 1 });
  return {
    open: () => slotFiles(folder),
    makeImage: async () => randomBytes(100_000),
    boot: async () => void (await bootSelect(folder)),
    close: () => rm(folder, { recursive: true }),
  };
});
