import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const PATIENCE_MS = 10 * 60_000;

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `npm run demo -- …`; `onLine` sees what it tells a person, line by line. */
function demo(args: string[], onLine: (line: string) => void): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(ROOT, 'scripts', 'run.mjs'), 'demo', ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let rest = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

test(
  'the demo ends as it promises, although the service is killed in the middle of its good rollout',
  { timeout: PATIENCE_MS },
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'tidegate demo '));
    let killed = false;
    const { code, stdout, stderr } = await demo(['--json', '--seed', '11', '--folder', folder], (line) => {
      if (killed || !line.includes('wave 1: open')) return;
      killed = true;
      void readFile(path.join(folder, 'service.pid'), 'utf8').then((pid) =>
        process.kill(Number(pid), 'SIGKILL'),
      );
    });
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
