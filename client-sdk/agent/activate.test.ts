import { beforeEach, describe, expect, it } from 'vitest';
import { bootSelect } from '../install/index.ts';
import type { MemoryFiles } from '../trust/testing/memory-files.ts';
import { codes, testBench } from './testing/bench.ts';
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

describe('activation', () => {
  it('waits for the session to end', async () => {
    bench.want();
    charger.charging = true;
    await charger.passes(() => false);
    expect(charger.boots).toBe(0);
    expect(bench.progress().at(-1)).toBe('WAITING_WINDOW');
    expect(service.confirms).toEqual([]);
    charger.charging = false;
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
  });

  it('needs the live confirmation of the service', async () => {
    bench.want();
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
    bench.want();
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
      bench.want(way === 'check-in' ? '1.2.0' : '1.3.0');
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
    bench.want();
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
    bench.want();
    charger.charging = true;
    await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
    const digest = service.wanted?.target.sha256 ?? '';
    service.publishPolicy({ ...service.policy, denied: { digests: [digest], signers: [] } });
    charger.charging = false;
    expect((await charger.settle()).job?.code).toBe('DENIED');
    expect(charger.boots).toBe(0);
  });
});
