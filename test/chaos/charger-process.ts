/** A charger's process for `kill-the-charger.test.ts`: the real agent on a real disk, which says before each step of its disk that it comes. */
import process from 'node:process';
import { once } from 'node:events';
import { Agent, httpsTransport, type ClientIdentity } from '@tidegate/client-sdk/agent';
import { bootSelect, slotFiles } from '@tidegate/client-sdk/install';
import { diskFiles, type Files } from '@tidegate/client-sdk/trust';
import { FACTORY } from '../../client-sdk/agent/testing/charger.ts';
import { testClock } from '../../client-sdk/agent/testing/service.ts';

export interface ToCharger {
  folder: string;
  origin: string;
  ca: string;
  client: ClientIdentity;
  /** Base64. */
  root: string;
  now: number;
  /** Whether it waits before each step of its disk until it is told to go on, which may be never. */
  steps: boolean;
}
export type FromCharger = 'step' | 'done' | { refused: string };

const PASSES = 12;

const [told] = (await once(process, 'message')) as [ToCharger];
const { folder, origin, ca, client, root, now, steps } = told;
const files = steps ? announced(diskFiles(folder)) : diskFiles(folder);
const transport = httpsTransport({ service: origin, ca, client });
const clock = testClock(now);
const agent = new Agent({
  identity: {
    organisation: 'acme',
    product: 'acme.dc150',
    hardware: 'dc150-r2',
    serial: 'C-0001',
    securityFloor: 1,
    buildTime: '2026-01-01T00:00:00Z',
    factory: FACTORY,
    healthDeadline: 600,
    healthBin: 3600,
    root: Buffer.from(root, 'base64'),
  },
  files,
  installer: slotFiles(files),
  host: {
    isCharging: () => false,
    healthy: async () => true,
    reboot: async () => void (await bootSelect(folder)),
    collect: () => ({ exposure: {}, events: [] }),
  },
  transport,
  clock,
});
for (let pass = 0; pass < PASSES; pass++) {
  const { job, refusals } = await agent.checkInOnce();
  for (const { code } of refusals) process.send?.({ refused: code } satisfies FromCharger);
  if (job?.progress === 'HEALTHY' && refusals.length === 0) process.send?.('done' satisfies FromCharger);
  await clock.sleep(60_000);
}
transport.close();
process.exit(0);

/** Before and within what changes the disk. */
function announced(real: Files): Files {
  const step = async (): Promise<void> => {
    const answered = once(process, 'message');
    process.send?.('step' satisfies FromCharger);
    await answered;
  };
  return {
    ...real,
    async write(path, bytes) {
      await step();
      await real.write(path, bytes);
    },
    async remove(path) {
      await step();
      await real.remove(path);
    },
    async rename(from, to) {
      await step();
      await real.rename(from, to);
    },
    async open(path) {
      await step();
      const file = await real.open(path);
      return {
        get size() {
          return file.size;
        },
        async append(chunk) {
          await step();
          // The kill may come with half of it written.
          const half = Math.floor(chunk.length / 2);
          await file.append(chunk.subarray(0, half));
          await step();
          await file.append(chunk.subarray(half));
        },
        chunks: () => file.chunks(),
        async truncate(size) {
          await step();
          await file.truncate(size);
        },
        async sync() {
          await step();
          await file.sync();
        },
        close: () => file.close(),
      };
    },
  };
}
