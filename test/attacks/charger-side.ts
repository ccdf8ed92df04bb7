/** What is done to the charger itself: its clock, its state, its slots. Design §3, "Time" and "State" */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@tidegate/client-sdk/agent';
import { testClock } from '../../client-sdk/agent/testing/service.ts';
import { testKey } from '../../client-sdk/trust/testing/keys.ts';
import { policy } from '../../client-sdk/trust/testing/releases.ts';
import { PRODUCT } from '../../client-sdk/trust/testing/repository.ts';
import type { Attack } from './attack.ts';
import type { Scene } from './scene.ts';

const DAY = 24 * 60 * 60 * 1000;
const in1970 = 0;
const in2106 = Date.parse('2106-02-07T00:00:00Z');

/** The charger wakes with a clock of its own, by which its TLS lives as well. */
function wakesAt(scene: Scene, time: number): void {
  scene.restart();
  scene.device = testClock(time);
  const { device } = scene;
  scene.wall = { ...systemClock, now: () => device.now() };
}

const SLOT = 'slot-b';

async function alter(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

export const CHARGER: Attack[] = [
  ...[in1970, in2106].map((time): Attack => ({
    name: `a clock that wakes in ${new Date(time).getUTCFullYear()}`,
    compromised: 'the battery of the clock',
    expected: { charger: 'installs', because: 'it gets signed time first, and judges by that' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      if (attacked) wakesAt(scene, time);
      scene.want(await scene.publish({ version: '1.2.0' }));
    },
  })),
  ...[in1970, in2106].map((time): Attack => ({
    name: `a first boot in ${new Date(time).getUTCFullYear()}`,
    compromised: 'the battery of the clock',
    expected: { charger: 'installs', because: 'it gets signed time first, and judges by that' },
    async play(scene, attacked) {
      if (attacked) wakesAt(scene, time);
      scene.want(await scene.publish());
    },
  })),
  {
    name: 'a clock in 2106, and a director key that changed meanwhile',
    compromised: 'the battery of the clock',
    expected: { charger: 'installs', because: 'without signed time, what is certainly past is the measure' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { service } = scene;
      service.director = testKey();
      service.publishPolicy(policy(service.builder, service.director, { version: 2 }));
      if (attacked) wakesAt(scene, in2106);
      scene.want(await scene.publish({ version: '1.2.0' }));
    },
  },
  {
    name: 'freeze with the clock set back: old answers look fresh',
    compromised: 'the clock, snapshot and timestamp keys',
    expected: { charger: 'stays', code: 'METADATA_EXPIRED' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.tick(2 * DAY);
      if (attacked) wakesAt(scene, scene.clock.time - 10 * DAY);
      else {
        repository.expires.timestamp += 2;
        repository.bump();
      }
    },
  },
  {
    name: 'the clock set back while the charger runs',
    compromised: 'the clock',
    expected: { charger: 'stays', code: 'METADATA_EXPIRED' },
    async play(scene, attacked) {
      scene.device = testClock(scene.clock.time);
      await scene.update({ version: '1.1.0' });
      const { repository } = scene.service;
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.tick(2 * DAY);
      if (attacked) scene.device.time -= 30 * DAY;
      else {
        repository.expires.timestamp += 2;
        repository.bump();
      }
    },
  },
  ...[
    'agent.json',
    'trust/marks.json',
    'trust/time.json',
    'health.json',
    `tuf/${PRODUCT}.json`,
    'tuf/timestamp.json',
  ].map((file): Attack => ({
    name: `torn state: ${file}`,
    compromised: 'the disk',
    expected: {
      charger: 'installs',
      ...(file === 'agent.json' ? { code: 'STATE_CORRUPT' as const } : {}),
      because: 'torn state stops no update',
    },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.restart();
      if (!attacked) return;
      const bytes = (await scene.files.read(file)) ?? Buffer.from('{}');
      await scene.files.write(file, bytes.subarray(0, Math.ceil(bytes.length / 2)));
      if (file !== 'agent.json') return;
      // Said once, when the process starts.
      await scene.pass();
      scene.codes.push('STATE_CORRUPT');
    },
  })),
  {
    name: 'restored state: an older cache with the marks of now, and the metadata of then',
    compromised: 'the disk, the line',
    expected: { charger: 'stays', code: 'METADATA_ROLLBACK' },
    async play(scene, attacked) {
      const { repository } = scene.service;
      await scene.update({ version: '1.1.0' });
      const then = new Map(repository.files);
      const cache = await cacheOf(scene);
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.charging = true;
      await scene.settle(2);
      scene.charging = false;
      scene.restart();
      if (!attacked) return;
      for (const [file, bytes] of cache) await scene.files.write(file, bytes);
      for (const [file, bytes] of then) repository.files.set(file, bytes);
    },
  },
  {
    name: 'restored state: marks of then with the cache of now, and the metadata of then',
    compromised: 'the disk, the line',
    expected: { charger: 'stays', code: 'METADATA_ROLLBACK' },
    async play(scene, attacked) {
      const { repository } = scene.service;
      await scene.update({ version: '1.1.0' });
      const then = new Map(repository.files);
      const marks = await scene.files.read('trust/marks.json');
      scene.want(await scene.publish({ version: '1.2.0' }));
      scene.charging = true;
      await scene.settle(2);
      scene.charging = false;
      scene.restart();
      if (!attacked || !marks) return;
      await scene.files.write('trust/marks.json', marks);
      for (const [file, bytes] of then) repository.files.set(file, bytes);
    },
  },
  {
    name: 'a replay of the whole disk is refused nothing but what is older than it',
    compromised: 'the board in hand',
    expected: { charger: 'installs', because: 'out of reach without a TPM: it knows what it knew then' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      const older = scene.service.wanted?.target;
      const disk = await cacheOf(scene, true);
      if (attacked) {
        await scene.update({ version: '1.2.0', securityVersion: 4 });
        scene.restart();
        for (const [file, bytes] of disk) await scene.files.write(file, bytes);
        scene.codes = [];
      }
      if (older) scene.want(older);
    },
  },
  {
    name: 'image swapped between verification and install',
    compromised: 'a process on the charger',
    expected: { charger: 'stays', code: 'IMAGE_DIGEST' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) scene.hands.beforeInstall = () => alter(join(scene.folder, SLOT), 100);
    },
  },
  {
    name: 'image swapped between install and activation',
    compromised: 'a process on the charger',
    expected: { charger: 'stays', code: 'IMAGE_DIGEST' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) scene.hands.beforeActivate = () => alter(join(scene.folder, SLOT), 100);
    },
  },
  {
    name: 'image swapped while it waits staged over a restart',
    compromised: 'the disk',
    expected: { charger: 'stays', code: 'IMAGE_DIGEST' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      scene.charging = true;
      await scene.settle(3);
      scene.restart();
      if (attacked) await alter(join(scene.folder, SLOT), 100);
      scene.charging = false;
    },
  },
  {
    name: 'away for three years: a thousand roots, everything expired',
    compromised: 'nobody',
    expected: { charger: 'installs', because: 'every root is kept for ever' },
    async play(scene, attacked) {
      const { repository } = scene.service;
      if (attacked) {
        const years = 3 * 365;
        repository.expires.root = 90;
        for (let version = 2; version <= 1000; version++) {
          repository.versions.root = version;
          const [first, ...kept] = repository.keys.root;
          // A key changes every hundred roots; the old quorum and the new one sign.
          const rotates = version % 100 === 0;
          if (rotates) repository.keys.root = [...kept, testKey()];
          if (version > 900) repository.expires.root = years + 90;
          repository.publishRoot(rotates && first ? [first, ...repository.keys.root] : repository.keys.root);
        }
        scene.tick(years * DAY);
        repository.keys.timestamp = [testKey()];
        repository.keys.snapshot = [testKey()];
        repository.versions.root = 1001;
        repository.publishRoot();
        for (const role of ['targets', 'product'] as const) repository.expires[role] = years + 90;
        Object.assign(repository.expires, { snapshot: years + 7, timestamp: years + 1 });
      }
      repository.bump('targets');
      scene.want(await scene.publish());
    },
  },
];

async function cacheOf(scene: Scene, everything = false): Promise<Map<string, Buffer>> {
  const files = ['tuf/timestamp.json', 'tuf/snapshot.json', 'tuf/targets.json', `tuf/${PRODUCT}.json`];
  if (everything) {
    files.push('agent.json', 'trust/marks.json', 'trust/time.json', 'boot.json', 'slot-a', 'slot-b');
  }
  const kept = new Map<string, Buffer>();
  for (const file of files) {
    const bytes = await scene.files.read(file);
    if (bytes) kept.set(file, bytes);
  }
  return kept;
}
