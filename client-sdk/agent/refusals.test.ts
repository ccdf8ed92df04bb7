import { beforeEach, describe, expect, it } from 'vitest';
import { bootSelect } from '../install/index.ts';
import { testKey } from '../trust/testing/keys.ts';
import type { MemoryFiles } from '../trust/testing/memory-files.ts';
import { codes, testBench } from './testing/bench.ts';
import type { TestBench } from './testing/bench.ts';
import { someImage } from './testing/charger.ts';
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

describe('a refusal is reported with its code, and the charger runs what it ran', () => {
  const attacks: Record<string, () => void> = {
    HARDWARE_MISMATCH: () => bench.want('1.2.0', { hardware: ['dc150-r9'] }),
    DOWNGRADE_UNSIGNED: () => bench.want('0.9.0'),
    BELOW_FLOOR: () => bench.want('1.2.0', { securityVersion: 0 }),
    ABOVE_CAP: () => bench.want('1.2.0', { securityVersion: 11 }),
    TARGET_MISMATCH: () => {
      bench.want();
      if (service.wanted) service.wanted.target = { ...service.wanted.target, sha256: 'a'.repeat(64) };
    },
    TARGET_UNKNOWN: () => {
      bench.want();
      service.repository.productTargets = {};
      service.repository.bump('product');
    },
    IMAGE_DIGEST: () => {
      bench.want();
      const target = service.wanted?.target;
      if (target) service.put(target.path, target.sha256, someImage());
    },
    BUNDLE_MISSING: () => {
      bench.want();
      const [bundle] = service.wanted?.target.custom.bundles ?? [];
      if (bundle) service.put(bundle.path, bundle.sha256, Buffer.from('{}'));
    },
    BUILDER_UNKNOWN: () => {
      bench.want();
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
      bench.want();
      service.repository.expires.product = -1;
      service.repository.bump('product');
    },
    METADATA_UNSIGNED: () => {
      bench.want();
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
    bench.want('1.2.0', { securityVersion: 1 });
    await charger.settle();
    bench.want('1.3.0', { hardware: ['dc150-r9'] });
    expect((await charger.settle()).job?.code).toBe('HARDWARE_MISMATCH');
    const { inactive } = await charger.deps().installer.status();
    expect(inactive).toMatchObject({ bootable: true, image: { version: '1.0.0' } });
  });

  it('METADATA_ROLLBACK: older metadata replayed beside a real directive', async () => {
    await charger.agent.checkInOnce();
    const old = service.repository.file('metadata/timestamp.json').toString('utf8');
    bench.want();
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
    bench.want();
    forge();
    const pass = await charger.passes(() => false);
    expect(codes(pass)).toContain(code);
    expect(pass.job).toBeUndefined();
    expect(charger.boots).toBe(0);
  });
});
