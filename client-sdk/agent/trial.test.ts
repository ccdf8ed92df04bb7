import { beforeEach, describe, expect, it } from 'vitest';
import { bootSelect } from '../install/index.ts';
import type { MemoryFiles } from '../trust/testing/memory-files.ts';
import { NOW } from '../trust/testing/repository.ts';
import { testBench } from './testing/bench.ts';
import { someImage } from './testing/charger.ts';
import type { TestBench } from './testing/bench.ts';
import type { TestCharger } from './testing/charger.ts';
import type { TestService } from './testing/service.ts';
let bench: TestBench;
let service: TestService;
let files: MemoryFiles;
let charger: TestCharger;

beforeEach(async () => {
  bench = await testBench();
  ({ service, files, charger } = bench);
});

describe('a trial boot', () => {
  it('that stays unhealthy goes back, offline too, and is reported', async () => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    charger.online = false;
    await charger.passes((pass) => pass.job?.progress === 'ROLLED_BACK');
    expect(await charger.runs()).toBe('1.0.0');
    charger.online = true;
    const pass = await charger.settle();
    expect(pass.job).toMatchObject({ progress: 'ROLLED_BACK', code: 'HEALTH_FAILED' });
    expect(service.checkIns.at(-1)?.assignment).toMatchObject({
      progress: 'ROLLED_BACK',
      code: 'HEALTH_FAILED',
    });
  });

  it('has its whole deadline to become healthy', async () => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    for (let minute = 0; minute < 8; minute++) {
      await service.clock.sleep(60_000);
      expect((await charger.agent.checkInOnce()).job?.progress).toBe('VERIFYING');
    }
    charger.isHealthy = true;
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
  });

  it('that went bad is unbootable before the charger goes back, were the boot loader to try it again', async () => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    const atReboot: boolean[] = [];
    charger.reboot = async () => {
      atReboot.push((await charger.deps().installer.status()).booted.bootable);
      await bootSelect(files);
    };
    expect((await charger.settle()).job?.progress).toBe('ROLLED_BACK');
    expect(atReboot).toEqual([false]);
  });

  it('that does not go through is known for what it is', async () => {
    bench.want();
    charger.reboot = async () => {
      charger.boots++;
      await bootSelect(files);
      await bootSelect(files);
    };
    const pass = await charger.settle();
    expect(pass.job).toMatchObject({ progress: 'ROLLED_BACK', code: 'BOOT_FELL_BACK' });
    expect(await charger.runs()).toBe('1.0.0');
  });

  it('is not interrupted while a session runs', async () => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    charger.charging = true;
    await charger.passes(() => false);
    expect(charger.boots).toBe(1);
    charger.charging = false;
    expect((await charger.settle()).job?.code).toBe('HEALTH_FAILED');
  });

  it('that failed twice is refused for good', async () => {
    bench.want();
    charger.isHealthy = false;
    for (const assignment of ['one', 'two']) {
      if (service.wanted) service.wanted = { ...service.wanted, assignment };
      expect((await charger.settle()).job?.code).toBe('HEALTH_FAILED');
    }
    if (service.wanted) service.wanted = { ...service.wanted, assignment: 'three' };
    expect((await charger.settle()).job).toMatchObject({ progress: 'FAILED', code: 'REPEATEDLY_FAILED' });
  });

  const wrongTimes: Record<string, () => Promise<unknown>> = {
    'by a clock that woke in 2106': async () => {
      charger.kill();
      wake(Date.parse('2106-02-07T06:28:15Z'));
    },
    'by a time that a stolen director signed': async () => {
      service.tamper.directive = (directive) => {
        directive.issuedAt = '2106-02-07T06:28:15Z';
        directive.expires = '2106-02-07T07:00:00Z';
      };
      await charger.agent.checkInOnce();
    },
  };
  const wake = (now: number): void => void ((service.clock as { time?: number }).time = now);

  it.each(Object.entries(wrongTimes))('that is committed %s closes no way down', async (_what, goWrong) => {
    const { path, sha256 } = service.publish(someImage(), { version: '1.1.0', securityVersion: 1 });
    const way = { path, sha256, expires: '2027-06-01T00:00:00Z', auto: true };
    bench.want('1.2.0', { securityVersion: 3, fallback: [way] });
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'VERIFYING');
    await goWrong();
    charger.isHealthy = true;
    charger.online = false;
    expect((await charger.agent.checkInOnce()).job?.progress).toBe('HEALTHY');
    expect((await charger.agent.state()).floor).toBe(1);
  });

  it.each(Object.entries(wrongTimes))('that fell back %s is forgiven in time', async (_what, goWrong) => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'VERIFYING');
    await goWrong();
    await charger.passes((pass) => pass.job?.progress === 'ROLLED_BACK');
    const [fall] = (await charger.agent.state()).fellBackFrom;
    expect(fall?.at).toBeLessThan(NOW + 100 * 24 * 60 * 60 * 1000);
  });

  it('has its deadline by a clock that is set meanwhile, and not for ever by one that is set on and on', async () => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    const right = service.clock.now();
    charger.kill();
    wake(0);
    charger.online = false;
    await charger.agent.checkInOnce();
    wake(right);
    expect((await charger.agent.checkInOnce()).job?.progress).toBe('VERIFYING');
    for (let i = 1; i < 10; i++) {
      wake(right + i * 365 * 24 * 60 * 60 * 1000);
      await charger.agent.checkInOnce();
    }
    expect(await charger.runs()).toBe('1.0.0');
    expect((await charger.agent.state()).job).toMatchObject({ code: 'HEALTH_FAILED' });
  });

  it('that nobody remembers proves nothing', async () => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    files.contents.delete('agent.json');
    charger.kill();
    service.wanted = undefined;
    const atReboot: boolean[] = [];
    charger.reboot = async () => {
      atReboot.push((await charger.deps().installer.status()).booted.bootable);
      await bootSelect(files);
    };
    await charger.agent.checkInOnce();
    expect(await charger.runs()).toBe('1.0.0');
    expect((await charger.agent.state()).committed.version).toBe('1.0.0');
    // A boot loader that tries a slot several times must not take it again.
    expect(atReboot).toEqual([false]);
  });

  it('that nobody remembers does not end a session', async () => {
    bench.want();
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    files.contents.delete('agent.json');
    service.wanted = undefined;
    charger.charging = true;
    charger.kill();
    for (let passes = 0; passes < 3; passes++) await charger.agent.checkInOnce();
    expect(charger.boots).toBe(1);
    expect(await charger.runs()).toBe('1.2.0');
    charger.charging = false;
    await charger.agent.checkInOnce();
    expect(await charger.runs()).toBe('1.0.0');
  });

  it('that is rejected asks for its boot once, and again only when none came for long', async () => {
    bench.want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    charger.reboot = async () => {
      charger.boots++;
    };
    await charger.passes(() => charger.boots === 2);
    for (let minute = 0; minute < 4; minute++) {
      await service.clock.sleep(60_000);
      await charger.agent.checkInOnce();
    }
    expect(charger.boots).toBe(2);
    await charger.passes(() => charger.boots === 3);
    expect(charger.boots).toBe(3);
  });

  it('that the boot loader will not leave is given up, reported, and boots the charger no more', async () => {
    bench.want();
    charger.isHealthy = false;
    charger.reboot = async () => {
      charger.boots++;
      // The first boot is the trial; after it, only the count of the boots goes on.
      if (charger.boots === 1) await bootSelect(files);
      else await bumpBoots();
    };
    const pass = await charger.settle();
    expect(pass.job).toMatchObject({ progress: 'FAILED', code: 'INSTALL_FAILED' });
    const { boots } = charger;
    charger.kill();
    for (let passes = 0; passes < 3; passes++) await charger.agent.checkInOnce();
    expect(charger.boots).toBe(boots);
  });

  it('raises the floor at its commit, and makes the slot below it unbootable', async () => {
    bench.want('1.2.0', { securityVersion: 5 });
    await charger.settle();
    expect((await charger.agent.state()).floor).toBe(5);
    const { inactive } = await charger.deps().installer.status();
    expect(inactive.bootable).toBe(false);
    bench.want('1.3.0', { securityVersion: 4 });
    expect((await charger.settle()).job).toMatchObject({ progress: 'FAILED', code: 'BELOW_FLOOR' });
  });
});

describe('the floor', () => {
  it('does not wait for a fallback that the role does not list with these bytes', async () => {
    bench.want('1.1.0', { securityVersion: 1 });
    const { path } = service.wanted!.target;
    const expires = '2027-01-01T00:00:00Z';
    const other = [
      { path, sha256: 'a'.repeat(64), expires, auto: true },
      { path: 'acme.dc150/gone.raucb', sha256: 'b'.repeat(64), expires, auto: true },
    ];
    bench.want('1.2.0', { securityVersion: 4, fallback: other });
    await charger.settle();
    expect((await charger.agent.state()).floor).toBe(4);
  });

  it('waits for the lowest fallback that is listed', async () => {
    bench.want('1.1.0', { securityVersion: 2 });
    const { path, sha256 } = service.wanted!.target;
    const fallback = [{ path, sha256, expires: '2027-01-01T00:00:00Z', auto: true }];
    bench.want('1.2.0', { securityVersion: 4, fallback });
    await charger.settle();
    expect((await charger.agent.state()).floor).toBe(2);
  });
});

/** A boot into the slot that runs already. */
async function bumpBoots(): Promise<void> {
  const boot = JSON.parse(files.contents.get('boot.json')?.toString() ?? '') as { boots: number };
  files.contents.set('boot.json', Buffer.from(JSON.stringify({ ...boot, boots: boot.boots + 1 })));
}
