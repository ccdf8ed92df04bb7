import { beforeEach, describe, expect, it } from 'vitest';
import { bootSelect } from '../install/index.ts';
import type { Directive, RefusalCode } from '../protocol/index.ts';
import { testKey } from '../trust/testing/keys.ts';
import { PowerCut } from '../trust/testing/memory-files.ts';
import type { MemoryFiles } from '../trust/testing/memory-files.ts';
import { readState } from './memory.ts';
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
    expect(bench.progress().at(-1)).toBe('WAITING_WINDOW');
    expect(charger.boots).toBe(0);
    service.confirmation = 'none';
    await charger.passes(() => false);
    expect(charger.boots).toBe(0);
    service.confirmation = 'activate';
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
  });

  const others: Record<string, (confirmation: Directive) => void> = {
    'another digest': ({ target }) => {
      if (target) target.sha256 = 'a'.repeat(64);
    },
    'another assignment': (confirmation) => {
      confirmation.assignment = 'somebody-else';
    },
    'another assignment, withdrawn': (confirmation) => {
      confirmation.assignment = 'somebody-else';
      confirmation.action = 'withdraw';
      delete confirmation.target;
    },
    // What a check-in says is no confirmation, however fresh it is.
    'an install': (confirmation) => {
      confirmation.action = 'install';
    },
  };
  it.each(Object.entries(others))('is not confirmed by a live answer about %s', async (_what, change) => {
    bench.want();
    service.tamper.directive = (directive) => {
      if (directive.action === 'activate') change(directive);
    };
    const pass = await charger.passes(() => false);
    expect(service.confirms.length).toBeGreaterThan(1);
    expect(pass.job).toMatchObject({ progress: 'WAITING_WINDOW' });
    expect(charger.boots).toBe(0);
    expect((await charger.deps().installer.status()).activated).toBe(false);
    service.tamper = {};
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
  });

  const forgeries: [RefusalCode, (confirmation: Directive) => void][] = [
    ['DIRECTIVE_NOT_MINE', (confirmation) => void (confirmation.serial = 'C-0002')],
    ['DIRECTIVE_NOT_MINE', (confirmation) => void (confirmation.organisation = 'other')],
    ['DIRECTIVE_NONCE', (confirmation) => void (confirmation.nonce = 'A'.repeat(22))],
    ['DIRECTIVE_EXPIRED', (confirmation) => void (confirmation.expires = '2026-11-22T11:00:00Z')],
    ['DIRECTIVE_SEQUENCE', (confirmation) => void (confirmation.sequence = 1)],
    ['DIRECTIVE_UNSIGNED', () => void (service.director = testKey())],
  ];
  it.each(forgeries)('is not confirmed by a forged answer: %s', async (code, forge) => {
    bench.want();
    const { director } = service;
    const heard: string[] = [];
    service.tamper.directive = (directive) => {
      service.director = director;
      if (directive.action === 'activate') forge(directive);
    };
    await charger.passes((pass) => {
      heard.push(...codes(pass));
      return false;
    });
    expect(new Set(heard)).toEqual(new Set([code]));
    expect(charger.boots).toBe(0);
    expect((await charger.deps().installer.status()).activated).toBe(false);
  });

  it('is on the medium with its number before the charger boots', async () => {
    bench.want();
    const atReboot: unknown[] = [];
    charger.reboot = async () => {
      atReboot.push(await readState(files));
      await bootSelect(files);
    };
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
    expect(atReboot).toMatchObject([{ last: { epoch: 2, sequence: 2 }, job: { phase: 'INSTALLING' } }]);
  });

  it('asks for its boot once, and again only when none came for long', async () => {
    bench.want();
    charger.reboot = async () => {
      charger.boots++;
    };
    await charger.passes(() => charger.boots > 0);
    for (let minute = 0; minute < 4; minute++) {
      await service.clock.sleep(60_000);
      await charger.agent.checkInOnce();
    }
    expect(charger.boots).toBe(1);
    expect(service.confirms).toHaveLength(1);
    await charger.passes(() => charger.boots > 1);
    // An old confirmation is not a live one.
    expect(service.confirms).toHaveLength(2);
  });

  it('passes on what is wrong with the machine itself', async () => {
    bench.want();
    charger.charging = true;
    await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
    charger.charging = false;
    service.confirm = () => {
      throw new RangeError('a fault of the machine');
    };
    await expect(charger.agent.checkInOnce()).rejects.toThrow(RangeError);
    expect(charger.boots).toBe(0);
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

  it('does not boot once it is undone, wherever the power is cut', async () => {
    for (let changes = 0; ; changes++) {
      bench = await testBench();
      ({ service, files, charger } = bench);
      bench.want();
      charger.charging = true;
      await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
      await charger.deps().installer.activate((await charger.agent.state()).job!.image!);
      charger.kill();
      service.withdrawn = true;
      files.changesLeft = changes;
      const through = await charger.agent.checkInOnce().catch((error: unknown) => {
        if (!(error instanceof PowerCut)) throw error;
      });
      files.losePower('lost');
      await bootSelect(files);
      const ended = (await readState(files))?.job?.phase === 'FAILED';
      if (ended) expect(await charger.runs(), `cut before change ${changes}`).toBe('1.0.0');
      if (through) return expect(ended).toBe(true);
    }
  });

  it('does not happen while the service shows metadata that is not trusted', async () => {
    await charger.agent.checkInOnce();
    const old = service.repository.file('metadata/timestamp.json').toString('utf8');
    bench.want();
    charger.charging = true;
    await charger.passes((pass) => pass.job?.progress === 'WAITING_WINDOW');
    charger.charging = false;
    service.tamper.answer = (answer) => {
      answer.timestamp = old;
    };
    expect(codes(await charger.passes(() => false))).toEqual(['METADATA_ROLLBACK']);
    expect(charger.boots).toBe(0);
    expect(service.confirms).toEqual([]);
    service.tamper = {};
    expect((await charger.settle()).job?.progress).toBe('HEALTHY');
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
