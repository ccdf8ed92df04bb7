/**
 * The power goes at every single change and every sync that an update makes on a charger's disk; then the charger starts again.
 * Design §8, invariants 1 to 4: it boots, and only signed bytes that are not below its floor; it still refuses older metadata; and
 * the update ends as it would have ended. Invariant 8: nothing is on trial that was not confirmed.
 */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { bootSelect, slotFiles } from '@tidegate/client-sdk/install';
import { parseBootRecord } from '@tidegate/client-sdk/install/boot-record';
import type { TestCharger } from '../../client-sdk/agent/testing/charger.ts';
import { PowerCut } from '../../client-sdk/trust/testing/memory-files.ts';
import type { Loss, MemoryFiles } from '../../client-sdk/trust/testing/memory-files.ts';
import { ChargerLife, stateOn } from './charger-life.ts';
import type { Chapter } from './charger-life.ts';

const CHAPTERS = [
  'the first update',
  'an update that is unhealthy',
  'the next update',
  'the signed way back',
];

const PASSES_ON_FULL_DISK = 3;

let life: ChargerLife;
let chapters: Chapter[];

beforeAll(async () => {
  life = new ChargerLife();
  const first = await life.update({ version: '1.1.0', securityVersion: 2 });
  const { path, sha256 } = first.target;
  const fallback = [{ path, sha256, expires: '2027-01-01T00:00:00Z', auto: true }];
  chapters = [
    first,
    await life.update({ version: '1.2.0', securityVersion: 3, fallback }, { healthy: false, ends: '1.1.0' }),
    await life.update({ version: '1.3.0', securityVersion: 3, fallback }),
    await life.goBack(first.target),
  ];
});

describe.each(CHAPTERS.map((name, number) => ({ name, number })))('$name', ({ number }) => {
  it('survives a power cut at every change', async () => {
    await atEveryChange(async (changes) => {
      const lost = await interrupted(chapter(), changes, 'lost');
      // Where everything was synced, there is nothing to tear.
      if (lost === 'unsynced') await interrupted(chapter(), changes, 'torn');
      return lost !== 'through';
    });
  });

  it('survives the end of its process at every change', async () => {
    await atEveryChange(async (changes) => (await interrupted(chapter(), changes, 'kept')) !== 'through');
  });

  it('survives a disk that is full from any change on, until there is space again', async () => {
    await atEveryChange((changes) => onFullDisk(chapter(), changes));
  });

  const chapter = (): Chapter => chapters[number]!;
});

async function atEveryChange(survives: (changes: number) => Promise<boolean>): Promise<void> {
  let changes = 0;
  while (await survives(changes)) changes++;
  expect(changes).toBeGreaterThan(15);
}

/**
 * Plays the chapter, ends it before change number `changes`, and looks at what is left.
 * @param loss `kept`: only the process ends, and the machine runs on
 */
async function interrupted(
  chapter: Chapter,
  changes: number,
  loss: Loss | 'kept',
): Promise<'through' | 'synced' | 'unsynced'> {
  const { charger, files } = await life.open(chapter);
  const boots = countTrials(charger, files);
  files.changesLeft = changes;
  if (!(await isCut(charger))) return 'through';
  const { unsynced } = files;
  const newest = life.trustsNewest();
  charger.kill();
  if (loss === 'kept') files.changesLeft = Infinity;
  else files.losePower(loss);
  await holds(files, chapter);
  if (loss !== 'kept') await boots.boot();
  await holds(files, chapter);
  if (newest) expect(await life.toOlderMetadata(files, chapter)).toEqual(['METADATA_ROLLBACK']);
  await endsAsItShould(charger, chapter);
  await holds(files, chapter);
  const falls = (await stateOn(files.contents)).fellBackFrom.length;
  const fallsBefore = (await stateOn(chapter.disk)).fellBackFrom.length;
  expect(falls - fallsBefore, 'only what booted falls back').toBeLessThanOrEqual(boots.trials);
  return unsynced ? 'unsynced' : 'synced';
}

/** @returns whether the disk was full before the chapter ended. */
async function onFullDisk(chapter: Chapter, changes: number): Promise<boolean> {
  const { charger, files } = await life.open(chapter);
  const boots = countTrials(charger, files);
  files.spaceLeft = changes;
  let full = 0;
  for (let pass = 0; pass < PASSES_ON_FULL_DISK; pass++) {
    try {
      await charger.settle();
    } catch (error) {
      expect(error, 'what it throws is the disk’s own').toMatchObject({ code: 'ENOSPC' });
      full += 1;
    }
    await holds(files, chapter);
  }
  if (full === 0) return false;
  // The boot loader has its own place for its record.
  files.spaceLeft = Infinity;
  charger.kill();
  await boots.boot();
  await holds(files, chapter);
  await endsAsItShould(charger, chapter);
  await holds(files, chapter);
  return true;
}

/** Counts the boots into an image on trial. */
function countTrials(charger: TestCharger, files: MemoryFiles): { trials: number; boot(): Promise<void> } {
  const counter = {
    trials: 0,
    async boot() {
      await bootSelect(files);
      if ((await slotFiles(files).status()).trial) counter.trials++;
    },
  };
  charger.reboot = () => counter.boot();
  return counter;
}

async function isCut(charger: TestCharger): Promise<boolean> {
  try {
    await charger.settle();
    return false;
  } catch (error) {
    if (error instanceof PowerCut) return true;
    throw error;
  }
}

/** What must be true of a charger's disk at any moment. */
async function holds(files: MemoryFiles, chapter: Chapter): Promise<void> {
  const boot = parseBootRecord(files.contents.get('boot.json'));
  const { floor } = await stateOn(files.contents);
  expect(floor, 'the floor never sinks').toBeGreaterThanOrEqual((await stateOn(chapter.disk)).floor);
  expect(boot.slots[boot.primary]?.bootable, 'there is something to boot').toBe(true);
  for (const [name, slot] of Object.entries(boot.slots)) {
    if (!slot?.bootable) continue;
    expect(slot.securityVersion, `slot ${name} is not below the floor`).toBeGreaterThanOrEqual(floor);
    if (slot.sha256 !== null) expect(digestOf(files, `slot-${name}`), `slot ${name}`).toBe(slot.sha256);
  }
  if (boot.trial === null) return;
  const tried = boot.slots[boot.trial.slot]?.sha256;
  expect(
    life.service.confirms.map(({ sha256 }) => sha256),
    'a trial was confirmed',
  ).toContain(tried);
}

function digestOf(files: MemoryFiles, path: string): string {
  return createHash('sha256')
    .update(files.contents.get(path) ?? '')
    .digest('hex');
}

async function endsAsItShould(charger: TestCharger, chapter: Chapter): Promise<void> {
  const end = chapter.healthy ? 'HEALTHY' : 'ROLLED_BACK';
  // The boot loader gives up a trial that the cut has ended: the service hears of it, and offers the image again.
  life.service.insists = chapter.healthy;
  const pass = await charger.passes((pass) => !pass.news && pass.job?.progress === end);
  expect(pass.job?.progress).toBe(end);
  expect(await charger.runs()).toBe(chapter.ends);
}
