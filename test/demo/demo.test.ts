import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runDemo } from './run-demo.ts';

const PATIENCE_MS = 10 * 60_000;

test(
  'the demo ends as it promises, although the service is killed in the middle of its good rollout',
  { timeout: PATIENCE_MS },
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'tidegate demo '));
    let killed = false;
    const { ended } = runDemo(['--json', '--seed', '11', '--folder', folder], (line) => {
      if (killed || !line.includes('wave 1: open')) return;
      killed = true;
      void readFile(path.join(folder, 'service.pid'), 'utf8').then((pid) =>
        process.kill(Number(pid), 'SIGKILL'),
      );
    });
    const { code, stdout, stderr } = await ended;
    await rm(folder, { recursive: true, force: true });
    expect(stderr).toContain('The service died (1).');
    const verdict = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
    expect(verdict).toEqual({
      goodRollout: 'COMPLETED',
      badRollout: 'ROLLED_BACK',
      chargers: 60,
      onGood: 60,
      everOnBad: expect.any(Number) as unknown,
      attacksRefused: 5,
      twinsInstalled: 5,
      seconds: expect.any(Number) as unknown,
    });
    expect(verdict['everOnBad']).toBeGreaterThanOrEqual(1);
    // Halted in the canary or the first wave.
    expect(verdict['everOnBad']).toBeLessThanOrEqual(24);
    expect(code).toBe(0);
  },
);
