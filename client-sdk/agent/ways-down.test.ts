/** Down from a committed image only along its signed fallback list, and which list that is. Invariant 3 of design §8. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Fallback, TargetCustom } from '../protocol/index.ts';
import { testBench } from './testing/bench.ts';
import type { TestBench } from './testing/bench.ts';
import type { TestCharger } from './testing/charger.ts';
import type { TestService } from './testing/service.ts';

let bench: TestBench;
let service: TestService;
let charger: TestCharger;
/** To 1.2.0, which came before 1.3.0. */
let wayBack: Fallback;

beforeEach(async () => {
  bench = await testBench();
  ({ service, charger } = bench);
  bench.want('1.2.0');
  await charger.settle();
  const { path, sha256 } = service.wanted!.target;
  wayBack = { path, sha256, expires: '2027-01-01T00:00:00Z', auto: true };
});

/** 1.3.0 is committed with this list. */
async function committedWith(fallback: Fallback[]): Promise<void> {
  bench.want('1.3.0', { fallback });
  expect((await charger.settle()).job?.progress).toBe('HEALTHY');
}

/** The release engineers sign the role anew, with 1.3.0 changed, or without it. */
function resign(change: ((custom: TargetCustom) => void) | 'dropped'): void {
  const { repository, wanted } = service;
  const { path } = wanted!.target;
  if (change === 'dropped') delete repository.productTargets[path];
  else change(repository.productTargets[path]?.custom as TargetCustom);
  repository.bump('product');
}

async function goingBack(): Promise<{ code: string | null; runs: string | undefined }> {
  const target = service.repository.productTargets[wayBack.path]!;
  service.wanted = {
    assignment: 'a-1.3.0.back',
    target: {
      path: wayBack.path,
      sha256: wayBack.sha256,
      length: target.length,
      custom: target.custom as TargetCustom,
    },
  };
  const { job } = await charger.settle();
  return { code: job?.code ?? null, runs: await charger.runs() };
}

describe('the way down', () => {
  it('is the one that the current role lists, even where another was persisted', async () => {
    await committedWith([wayBack]);
    resign((custom) => {
      custom.fallback = [];
    });
    expect(await goingBack()).toEqual({ code: 'DOWNGRADE_UNSIGNED', runs: '1.3.0' });
  });

  it('is open when the current role opens it later', async () => {
    await committedWith([]);
    resign((custom) => {
      custom.fallback = [wayBack];
    });
    expect(await goingBack()).toEqual({ code: null, runs: '1.2.0' });
  });

  it('is the persisted one once the role lists the committed image no more', async () => {
    await committedWith([wayBack]);
    resign('dropped');
    expect(await goingBack()).toEqual({ code: null, runs: '1.2.0' });
  });

  it('is closed where neither lists it, or it expired', async () => {
    await committedWith([{ ...wayBack, expires: '2026-11-22T12:00:00Z' }]);
    expect(await goingBack()).toEqual({ code: 'DOWNGRADE_UNSIGNED', runs: '1.3.0' });
  });
});
