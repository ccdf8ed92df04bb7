import { beforeEach, describe, expect, it } from 'vitest';
import { memoryFiles, PowerCut } from '../trust/testing/memory-files.ts';
import type { MemoryFiles } from '../trust/testing/memory-files.ts';
import { testKey } from '../trust/testing/keys.ts';
import { bootSelect } from '../install/index.ts';
import { someImage, TestCharger } from './testing/charger.ts';
import { TestService, testClock } from './testing/service.ts';
import type { Pass } from './agent.ts';

let service: TestService;
let files: MemoryFiles;
let charger: TestCharger;

beforeEach(async () => {
  service = new TestService(testClock());
  files = memoryFiles();
  charger = await TestCharger.provision(files, service);
});

function want(version = '1.2.0', changes: Parameters<TestService['publish']>[1] = {}): void {
  const target = service.publish(someImage(), { version, ...changes });
  service.wanted = { assignment: `a-${version}`, target };
}
const codes = (pass: Pass): string[] => pass.refusals.map((refusal) => refusal.code);
const progress = (): string[] => [
  ...new Set(service.checkIns.flatMap(({ assignment }) => (assignment ? [assignment.progress] : []))),
];

describe('an update', () => {
  it('goes from check-in to a committed image, and says so', async () => {
    want();
    const pass = await charger.settle();
    expect(pass.job).toEqual({ assignment: 'a-1.2.0', progress: 'HEALTHY', code: null });
    expect(await charger.runs()).toBe('1.2.0');
    expect(charger.boots).toBe(1);
    expect(progress().at(-1)).toBe('HEALTHY');
    expect(service.checkIns.at(-1)?.running.version).toBe('1.2.0');
    await bootSelect(files);
    expect(await charger.runs()).toBe('1.2.0');
  });

  it('goes forward again, and back along the signed fallback without a download', async () => {
    want('1.2.0');
    const older = service.wanted?.target;
    await charger.settle();
    want('1.3.0', {
      fallback: [
        { path: older?.path ?? '', sha256: older?.sha256 ?? '', expires: '2027-01-01T00:00:00Z', auto: true },
      ],
    });
    await charger.settle();
    expect(await charger.runs()).toBe('1.3.0');
    service.fetched.length = 0;
    if (older) service.wanted = { assignment: 'a-1.3.0.back', target: older };
    const pass = await charger.settle();
    expect(pass.job?.progress).toBe('HEALTHY');
    expect(await charger.runs()).toBe('1.2.0');
    expect(service.fetched.filter((path) => path.endsWith('.raucb'))).toEqual([]);
  });

  it('is told at once that it runs already', async () => {
    want();
    await charger.settle();
    if (service.wanted) service.wanted = { ...service.wanted, assignment: 'again' };
    const pass = await charger.settle();
    expect(pass.job).toEqual({ assignment: 'again', progress: 'HEALTHY', code: null });
    expect(charger.boots).toBe(1);
  });

  it('takes no harm from an answer that comes twice, and does nothing twice', async () => {
    want();
    await charger.settle();
    for (let i = 0; i < 3; i++) await charger.agent.checkInOnce();
    expect(charger.boots).toBe(1);
    expect(service.checkIns.at(-1)?.assignment?.progress).toBe('HEALTHY');
  });

  it('asks for one thing only when nothing changed', async () => {
    // The time floor rises in bounded steps, each of them written.
    await charger.passes(() => false);
    service.fetched.length = 0;
    const before = files.changes;
    for (let i = 0; i < 5; i++) await charger.agent.checkInOnce();
    expect(service.fetched).toEqual([]);
    expect(files.changes).toBe(before);
  });

  it('resumes wherever the power is cut, and ends healthy', async () => {
    let cuts = 0;
    for (let allowed = 0; ; allowed++) {
      service = new TestService(testClock());
      files = memoryFiles();
      charger = await TestCharger.provision(files, service);
      want();
      files.changesLeft = allowed;
      const cut = await charger.settle().then(
        () => false,
        (error: unknown) => {
          if (error instanceof PowerCut) return true;
          throw error;
        },
      );
      if (!cut) break;
      cuts++;
      files.changesLeft = Infinity;
      charger.kill();
      // Every other time the process alone dies, and the machine runs on.
      if (allowed % 2 === 0) await bootSelect(files);
      const pass = await charger.settle();
      const again = pass.job?.code === 'BOOT_FELL_BACK' ? 'ROLLED_BACK' : 'HEALTHY';
      expect(pass.job?.progress, `cut before change ${allowed}`).toBe(again);
    }
    expect(cuts).toBeGreaterThan(20);
  }, 120_000);
});

describe('activation', () => {
  it('waits for the session to end', async () => {
    want();
    charger.charging = true;
    await charger.passes(() => false);
    expect(charger.boots).toBe(0);
    expect(progress().at(-1)).toBe('WAITING_WINDOW');
    expect(service.confirms).toEqual([]);
    charger.charging = false;
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
  });

  it('needs the live confirmation of the service', async () => {
    want();
    service.confirmation = 'unavailable';
    const pass = await charger.passes(() => false);
    expect(codes(pass)).toEqual(['DIRECTIVE_UNCONFIRMED']);
    expect(charger.boots).toBe(0);
    service.confirmation = 'none';
    await charger.passes(() => false);
    expect(charger.boots).toBe(0);
    service.confirmation = 'activate';
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
  });

  it('does not happen when a session began during the confirmation', async () => {
    want();
    const confirm = service.confirm.bind(service);
    service.confirm = (body) => {
      charger.charging = true;
      return confirm(body);
    };
    await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
    expect(charger.boots).toBe(0);
  });

  it('drops what is staged when it is withdrawn, at a check-in or at the confirmation', async () => {
    for (const way of ['check-in', 'confirmation'] as const) {
      want(way === 'check-in' ? '1.2.0' : '1.3.0');
      service.withdrawn = false;
      charger.charging = true;
      await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
      charger.charging = false;
      if (way === 'check-in') service.withdrawn = true;
      else service.confirmation = 'withdraw';
      const pass = await charger.settle();
      expect(pass.job).toMatchObject({ progress: 'FAILED', code: 'DIRECTIVE_WITHDRAWN' });
      await bootSelect(files);
      expect(await charger.runs()).toBe('1.0.0');
    }
  });

  it('is undone when the process died right after it and the image is withdrawn', async () => {
    want();
    charger.charging = true;
    await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
    const { target } = service.wanted ?? {};
    const { version, securityVersion } = target?.custom ?? { version: '', securityVersion: 0 };
    const image = { sha256: target?.sha256 ?? '', length: target?.length ?? 0, version, securityVersion };
    await charger.deps().installer.activate(image);
    charger.kill();
    service.withdrawn = true;
    expect((await charger.settle()).job?.code).toBe('DIRECTIVE_WITHDRAWN');
    await bootSelect(files);
    expect(await charger.runs()).toBe('1.0.0');
  });

  it('judges again by what is trusted now', async () => {
    want();
    charger.charging = true;
    await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
    const digest = service.wanted?.target.sha256 ?? '';
    service.publishPolicy({ ...service.policy, denied: { digests: [digest], signers: [] } });
    charger.charging = false;
    expect((await charger.settle()).job?.code).toBe('DENIED');
    expect(charger.boots).toBe(0);
  });
});

describe('a trial boot', () => {
  it('that stays unhealthy goes back, offline too, and is reported', async () => {
    want();
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

  it('that does not go through is known for what it is', async () => {
    want();
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
    want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    charger.charging = true;
    await charger.passes(() => false);
    expect(charger.boots).toBe(1);
    charger.charging = false;
    expect((await charger.settle()).job?.code).toBe('HEALTH_FAILED');
  });

  it('that failed twice is refused for good', async () => {
    want();
    charger.isHealthy = false;
    for (const assignment of ['one', 'two']) {
      if (service.wanted) service.wanted = { ...service.wanted, assignment };
      expect((await charger.settle()).job?.code).toBe('HEALTH_FAILED');
    }
    if (service.wanted) service.wanted = { ...service.wanted, assignment: 'three' };
    expect((await charger.settle()).job).toMatchObject({ progress: 'FAILED', code: 'REPEATEDLY_FAILED' });
  });

  it('that nobody remembers proves nothing', async () => {
    want();
    charger.isHealthy = false;
    await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
    files.contents.delete('agent.json');
    charger.kill();
    service.wanted = undefined;
    await charger.agent.checkInOnce();
    expect(await charger.runs()).toBe('1.0.0');
    expect((await charger.agent.state()).committed.version).toBe('1.0.0');
  });

  it('raises the floor at its commit, and makes the slot below it unbootable', async () => {
    want('1.2.0', { securityVersion: 5 });
    await charger.settle();
    expect((await charger.agent.state()).floor).toBe(5);
    const { inactive } = await charger.deps().installer.status();
    expect(inactive.bootable).toBe(false);
    want('1.3.0', { securityVersion: 4 });
    expect((await charger.settle()).job).toMatchObject({ progress: 'FAILED', code: 'BELOW_FLOOR' });
  });
});

describe('a refusal is reported with its code, and the charger runs what it ran', () => {
  const attacks: Record<string, () => void> = {
    HARDWARE_MISMATCH: () => want('1.2.0', { hardware: ['dc150-r9'] }),
    DOWNGRADE_UNSIGNED: () => want('0.9.0'),
    BELOW_FLOOR: () => want('1.2.0', { securityVersion: 0 }),
    ABOVE_CAP: () => want('1.2.0', { securityVersion: 11 }),
    TARGET_MISMATCH: () => {
      want();
      if (service.wanted) service.wanted.target = { ...service.wanted.target, sha256: 'a'.repeat(64) };
    },
    TARGET_UNKNOWN: () => {
      want();
      service.repository.productTargets = {};
      service.repository.bump('product');
    },
    IMAGE_DIGEST: () => {
      want();
      const target = service.wanted?.target;
      if (target) service.put(target.path, target.sha256, someImage());
    },
    BUNDLE_MISSING: () => {
      want();
      const [bundle] = service.wanted?.target.custom.bundles ?? [];
      if (bundle) service.put(bundle.path, bundle.sha256, Buffer.from('{}'));
    },
    BUILDER_UNKNOWN: () => {
      want();
      const [product] = Object.keys(service.policy.products);
      const stranger = testKey('p256');
      const builders = [
        { kind: 'key' as const, keyId: stranger.hint, publicKey: stranger.pem, state: 'active' as const },
      ];
      const asked = service.policy.products[product ?? ''];
      if (asked && product) {
        service.publishPolicy({ ...service.policy, products: { [product]: { ...asked, builders } } });
      }
    },
    METADATA_EXPIRED: () => {
      want();
      service.repository.expires.product = -1;
      service.repository.bump('product');
    },
    METADATA_UNSIGNED: () => {
      want();
      service.repository.versions.product++;
      service.repository.publishProduct(service.repository.keys.product.slice(0, 1));
      service.repository.versions.snapshot++;
      service.repository.publishSnapshot();
      service.repository.versions.timestamp++;
      service.repository.publishTimestamp();
    },
  };

  it.each(Object.entries(attacks))('%s', async (code, attack) => {
    await charger.agent.checkInOnce();
    attack();
    const pass = await charger.settle();
    expect(pass.job).toMatchObject({ progress: 'FAILED', code });
    expect(service.checkIns.at(-1)?.assignment).toMatchObject({ progress: 'FAILED', code });
    // Every check but the last comes before the first byte.
    const images = service.fetched.filter((path) => path.endsWith('.raucb'));
    expect(images).toHaveLength(code === 'IMAGE_DIGEST' ? 1 : 0);
    await bootSelect(files);
    expect(await charger.runs()).toBe('1.0.0');
  });

  it('and the earlier image stays bootable as the way back', async () => {
    want('1.2.0', { securityVersion: 1 });
    await charger.settle();
    want('1.3.0', { hardware: ['dc150-r9'] });
    expect((await charger.settle()).job?.code).toBe('HARDWARE_MISMATCH');
    const { inactive } = await charger.deps().installer.status();
    expect(inactive).toMatchObject({ bootable: true, image: { version: '1.0.0' } });
  });

  it('METADATA_ROLLBACK: older metadata replayed beside a real directive', async () => {
    await charger.agent.checkInOnce();
    const old = service.repository.file('metadata/timestamp.json').toString('utf8');
    want();
    charger.charging = true;
    await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
    charger.charging = false;
    service.tamper.answer = (answer) => {
      answer.timestamp = old;
    };
    if (service.wanted) service.wanted = { ...service.wanted, assignment: 'replayed' };
    const pass = await charger.settle();
    expect(pass.job).toMatchObject({ progress: 'FAILED', code: 'METADATA_ROLLBACK' });
    expect(charger.boots).toBe(0);
  });

  const forgeries: Record<string, () => void> = {
    DIRECTIVE_NOT_MINE: () => {
      service.tamper.directive = (directive) => {
        directive.serial = 'C-0002';
      };
    },
    DIRECTIVE_NONCE: () => {
      service.tamper.directive = (directive) => {
        directive.nonce = 'A'.repeat(22);
      };
    },
    DIRECTIVE_UNSIGNED: () => {
      service.director = testKey();
    },
    DIRECTIVE_SEQUENCE: () => {
      service.tamper.directive = (directive) => {
        directive.sequence = 1;
      };
    },
    DIRECTIVE_EXPIRED: () => {
      service.tamper.directive = (directive) => {
        directive.expires = '2026-12-22T12:00:00Z';
      };
    },
  };
  it.each(Object.entries(forgeries))('%s: nothing is done, and it is said', async (code, forge) => {
    await charger.agent.checkInOnce();
    want();
    forge();
    const pass = await charger.passes(() => false);
    expect(codes(pass)).toContain(code);
    expect(pass.job).toBeUndefined();
    expect(charger.boots).toBe(0);
  });
});

it('the number of a directive is on the disk before anything is done about it', async () => {
  want();
  await charger.passes((pass) => pass.job?.progress === 'INSTALLING');
  charger.kill();
  // One check-in, one confirmation.
  expect((await charger.agent.state()).last).toEqual({ epoch: 2, sequence: 2 });
});

describe('health', () => {
  it('is reported once, in numbered bins that never span an activation', async () => {
    await charger.agent.checkInOnce();
    await service.clock.sleep(60_000);
    want();
    await charger.settle();
    await service.clock.sleep(2 * 3600_000);
    charger.material = {
      exposure: { chargerHours: 2 },
      events: [{ at: '2026-11-22T13:00:00.000Z', signal: 'fault', code: 'GroundFailure' }],
    };
    await charger.agent.checkInOnce();
    const reports = service.checkIns.flatMap((checkIn) => checkIn.reports);
    const numbers = reports.map((report) => report.sequence);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(reports[0]?.sha256).toBeNull();
    expect(reports.at(-1)?.sha256).toBe(service.wanted?.target.sha256);
    expect(reports.at(-1)?.events[0]?.code).toBe('GroundFailure');
  });

  it('leaves out the boot that the update causes', async () => {
    await charger.agent.checkInOnce();
    await service.clock.sleep(60_000);
    want();
    const reboot = charger.reboot.bind(charger);
    charger.reboot = async () => {
      await service.clock.sleep(300_000);
      await reboot();
    };
    await charger.settle();
    await service.clock.sleep(2 * 3600_000);
    await charger.agent.checkInOnce();
    const [before, after] = service.checkIns.flatMap((checkIn) => checkIn.reports);
    expect(Date.parse(after?.from ?? '') - Date.parse(before?.to ?? '')).toBeGreaterThanOrEqual(300_000);
  });

  it('survives a restart and an outage', async () => {
    await charger.agent.checkInOnce();
    charger.online = false;
    charger.material = { exposure: { chargerHours: 1 }, events: [] };
    for (let hour = 0; hour < 5; hour++) {
      await service.clock.sleep(3600_000);
      await charger.agent.checkInOnce();
    }
    charger.kill();
    charger.online = true;
    await charger.agent.checkInOnce();
    expect(service.checkIns.at(-1)?.reports.map((report) => report.sequence)).toEqual([1, 2, 3, 4, 5]);
    await charger.agent.checkInOnce();
    expect(service.checkIns.at(-1)?.reports).toEqual([]);
  });

  it('raises an alarm over a forged directive', async () => {
    await charger.agent.checkInOnce();
    service.tamper.directive = (directive) => {
      directive.serial = 'C-0002';
    };
    await charger.agent.checkInOnce();
    service.tamper = {};
    await service.clock.sleep(3600_000);
    await charger.agent.checkInOnce();
    expect(service.checkIns.at(-1)?.reports[0]?.events).toMatchObject([
      { signal: 'security', code: 'DIRECTIVE_NOT_MINE' },
    ]);
  });
});

describe('time', () => {
  it.each(['1970-01-01T00:00:00Z', '2106-02-07T00:00:00Z'])(
    'is had from the service by a clock at %s',
    async (wrong) => {
      const broken = testClock(Date.parse(wrong));
      const { clock: right } = service;
      want();
      charger.deps = ((deps) => () => ({ ...deps(), clock: broken }))(charger.deps.bind(charger));
      const pass = await charger.settle();
      expect(pass.job?.progress).toBe('HEALTHY');
      expect(right.now()).toBeGreaterThan(0);
    },
  );
});
