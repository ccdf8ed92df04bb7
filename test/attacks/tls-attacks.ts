/** TLS by the time that is trusted, where the machine's clock says another. Design §3, "Time" */
import { systemClock } from '@tidegate/client-sdk/agent';
import { testClock } from '../../client-sdk/agent/testing/service.ts';
import type { Attack } from './attack.ts';
import { certificates } from './line.ts';
import type { Scene } from './scene.ts';

const DAY = 24 * 60 * 60 * 1000;

/** The true time, and the service's, is `days` after what this machine's clock says; the charger goes by the machine. */
async function trueTimeIn(scene: Scene, days: number): Promise<void> {
  const { repository } = scene.service;
  const ahead = Math.round((Date.now() - scene.clock.time) / DAY) + days;
  for (const role of ['root', 'targets', 'product', 'snapshot', 'timestamp'] as const) {
    repository.expires[role] += ahead;
  }
  repository.versions.root = 2;
  repository.publishRoot();
  repository.bump('targets', 'product');
  scene.tick(ahead * DAY);
  scene.device = testClock(Date.now());
  const { device } = scene;
  scene.wall = { ...systemClock, now: () => device.now() };
}

const inDays = (days: number): number => Date.now() + days * DAY;

export const TLS: Attack[] = [
  {
    name: 'the machine is a year behind: the certificate is not valid yet by its clock',
    compromised: 'the clock',
    expected: { charger: 'installs', because: 'the chain is verified, and its dates by signed time' },
    async play(scene, attacked) {
      if (attacked) {
        await trueTimeIn(scene, 365);
        await scene.provisionWith(await certificates({ from: inDays(300), to: inDays(500) }));
      }
      scene.want(await scene.publish());
    },
  },
  {
    name: 'the machine is ahead: the certificate has expired by its clock',
    compromised: 'the clock',
    expected: { charger: 'installs', because: 'the chain is verified, and its dates by signed time' },
    async play(scene, attacked) {
      // The scene's own time lies some days before the machine's.
      const life = { from: scene.clock.time - 100 * DAY, to: scene.clock.time + DAY };
      if (attacked) await scene.provisionWith(await certificates(life));
      scene.device = testClock(Date.now());
      scene.want(await scene.publish());
    },
  },
  {
    name: 'a certificate that has expired, to a machine whose clock was set back',
    compromised: 'an earlier TLS key, the clock, the director key',
    expected: { charger: 'stays', code: 'SERVICE_UNREACHABLE' },
    async play(scene, attacked) {
      await trueTimeIn(scene, 365);
      const life = { from: inDays(-100), to: inDays(attacked ? 100 : 500) };
      await scene.provisionWith(await certificates(life));
      scene.want(await scene.publish());
    },
  },
  {
    name: 'a certificate that expired before the charger was built',
    compromised: 'an old TLS key',
    expected: { charger: 'stays', code: 'SERVICE_UNREACHABLE' },
    async play(scene, attacked) {
      const old = { from: Date.parse('2020-01-01'), to: Date.parse('2025-01-01') };
      if (attacked) await scene.provisionWith(await certificates(old));
      scene.want(await scene.publish());
    },
  },
  {
    name: 'a certificate of another authority, and not valid yet',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'SERVICE_UNREACHABLE' },
    async play(scene, attacked) {
      const theirs = await certificates({ from: inDays(300), to: inDays(500) });
      if (attacked) await scene.show(theirs.server);
      scene.want(await scene.publish());
    },
  },
  {
    name: 'a certificate of another authority',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'SERVICE_UNREACHABLE' },
    async play(scene, attacked) {
      if (attacked) await scene.show((await certificates()).server);
      scene.want(await scene.publish());
    },
  },
  {
    name: 'a certificate of another name, and not valid yet',
    compromised: 'another server of the same authority, the line',
    expected: { charger: 'stays', code: 'SERVICE_UNREACHABLE' },
    async play(scene, attacked) {
      await trueTimeIn(scene, 365);
      const life = { from: inDays(300), to: inDays(500) };
      await scene.provisionWith(await certificates(life, attacked ? 'elsewhere' : 'localhost'));
      scene.want(await scene.publish());
    },
  },
  {
    name: "another charger's certificate shown as the service's",
    compromised: 'another charger, the line',
    expected: { charger: 'stays', code: 'SERVICE_UNREACHABLE' },
    async play(scene, attacked) {
      const held = await certificates();
      await scene.provisionWith(held);
      const { certificate: pem, key } = held.charger;
      if (attacked) await scene.show({ pem, key });
      scene.want(await scene.publish());
    },
  },
];
