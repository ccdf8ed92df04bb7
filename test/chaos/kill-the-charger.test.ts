/**
 * kill −9 of a charger's process on the real file system: before and in the middle of whatever its disk is asked to do, and at random moments.
 * Then it boots and starts again. Design §8, invariants 1 to 4: at no moment is anything bootable that is not whole, signed and above the
 * floor; older metadata stays refused; and the update ends.
 */
import { createHash } from 'node:crypto';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readState } from '@tidegate/client-sdk/agent/memory';
import { bootSelect, provisionSlots, slotFiles } from '@tidegate/client-sdk/install';
import { parseBootRecord } from '@tidegate/client-sdk/install/boot-record';
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { diskFiles } from '@tidegate/client-sdk/trust';
import { FACTORY } from '../../client-sdk/agent/testing/charger.ts';
import { TestService, testClock } from '../../client-sdk/agent/testing/service.ts';
import { certificates, type Certificates, Line } from '../attacks/line.ts';
import type { FromCharger, ToCharger } from './charger-process.ts';

const SEED = 'kill-1';
const RANDOM_KILLS = 12;
/** Every so many steps of the disk; `cut-the-power.test.ts` takes each of them. */
const STEPS_APART = 5;
const PATIENCE_MS = 8 * 60_000;

let held: Certificates;
let service: TestService;
let line: Line;
let folder: string;
let target: ReleaseTarget;
let older: string;
const running = new Set<ChildProcess>();
/** Codes that the charger said. */
const refused: string[] = [];

beforeAll(async () => {
  held = await certificates();
});
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await endLife();
});

describe('a charger that is killed', () => {
  it(
    'at any step of its disk ends its update',
    async () => {
      let kills = 0;
      for (let step = 1; ; step += STEPS_APART) {
        await newLife();
        if ((await live({ killAtStep: step })) === 'done') break;
        kills += 1;
        await holds();
        // Half of them lose their power as well, so that the boot loader has its say.
        if (kills % 2 === 0) await bootSelect(folder);
        await endsWell();
      }
      expect(kills).toBeGreaterThan(5);
    },
    PATIENCE_MS,
  );

  it(
    'at random moments, the same for the same seed, ends its update',
    async () => {
      await newLife();
      for (let kill = 0; kill < RANDOM_KILLS; kill++) {
        await live({ killAfterMs: 150 + 600 * chance(kill) });
        await holds();
        if (chance(kill + 100) < 0.7) await bootSelect(folder);
        await holds();
        if (await committed()) await newLife();
      }
      await endsWell();
      await refusesWhatIsOlder();
    },
    PATIENCE_MS,
  );
});

let endLife = async (): Promise<void> => undefined;

/** A charger from the factory, and a service that wants it to update. */
async function newLife(): Promise<void> {
  await endLife();
  service = new TestService(testClock());
  older = service.repository.file('metadata/timestamp.json').toString('utf8');
  const image = createHash('sha512').update(SEED).digest();
  target = service.publish(Buffer.alloc(300_000, image), { version: '1.2.0' });
  service.wanted = { assignment: 'a-1', target };
  service.insists = true;
  line = await Line.open(service, held);
  folder = await mkdtemp(join(tmpdir(), 'tidegate killed '));
  await provisionSlots(folder, FACTORY);
  const [opened, made] = [line, folder];
  endLife = async () => {
    await opened.close();
    await rm(made, { recursive: true, force: true });
  };
}

/** One process's life. @returns `done` when it says that its update is through. */
async function live(how: { killAtStep?: number; killAfterMs?: number }): Promise<'killed' | 'done'> {
  const child = fork(join(import.meta.dirname, 'charger-process.ts'), [], { stdio: 'inherit' });
  running.add(child);
  const exited = once(child, 'exit');
  const charger: ToCharger = {
    folder,
    origin: line.origin,
    ca: held.ca,
    client: held.charger,
    root: service.repository.file('metadata/1.root.json').toString('base64'),
    now: service.clock.now(),
    steps: how.killAtStep !== undefined,
  };
  child.send(charger);
  let done = false;
  let step = 0;
  child.on('message', (said: FromCharger) => {
    if (said === 'step' && ++step !== how.killAtStep) {
      child.send('go on');
    } else if (said === 'step' || said === 'done') {
      done = said === 'done';
      child.kill('SIGKILL');
    } else {
      refused.push(said.refused);
    }
  });
  if (how.killAfterMs !== undefined) {
    const late = new AbortController();
    void delay(how.killAfterMs, undefined, { signal: late.signal }).then(
      () => child.kill('SIGKILL'),
      () => undefined,
    );
    await exited;
    late.abort();
  } else {
    await exited;
  }
  running.delete(child);
  return done ? 'done' : 'killed';
}

/** What must be true of the disk at any moment. */
async function holds(): Promise<void> {
  const boot = parseBootRecord(await readFile(join(folder, 'boot.json')));
  const state = await readState(diskFiles(folder));
  const floor = state?.floor ?? FACTORY.securityVersion;
  expect(floor).toBeGreaterThanOrEqual(FACTORY.securityVersion);
  expect(boot.slots[boot.primary]?.bootable, 'there is something to boot').toBe(true);
  for (const [name, slot] of Object.entries(boot.slots)) {
    if (!slot?.bootable) continue;
    expect(slot.securityVersion, `slot ${name}`).toBeGreaterThanOrEqual(floor);
    if (slot.sha256 === null) continue;
    const bytes = await readFile(join(folder, `slot-${name}`));
    expect(createHash('sha256').update(bytes).digest('hex'), `slot ${name}`).toBe(target.sha256);
  }
  if (boot.trial !== null) expect(service.confirms.length, 'a trial was confirmed').toBeGreaterThan(0);
}

async function committed(): Promise<boolean> {
  const { booted, trial } = await slotFiles(folder).status();
  return !trial && booted.image?.sha256 === target.sha256;
}

async function endsWell(): Promise<void> {
  for (let life = 0; life < 3 && !(await committed()); life++) await live({});
  expect(await committed()).toBe(true);
  await holds();
}

/** Shown the metadata of before, it says so and stays. */
async function refusesWhatIsOlder(): Promise<void> {
  service.tamper.answer = (answer) => {
    answer.timestamp = older;
  };
  service.wanted = undefined;
  refused.length = 0;
  await live({});
  expect(refused).toContain('METADATA_ROLLBACK');
  expect(await committed()).toBe(true);
}

/** 0 to 1, the same for the same seed. */
function chance(n: number): number {
  return createHash('sha256').update(`${SEED} ${n}`).digest().readUInt32BE(0) / 2 ** 32;
}
