// What `npm test` runs, in order, each with its name: types, lint, format, architecture, then every test.
import { spawnSync } from 'node:child_process';
import { readFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import process from 'node:process';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = (name) => path.join(root, 'node_modules', '.bin', name);
const report = path.join(root, 'out', 'tests.json');

const STATIC = [
  ['types', [bin('tsc'), '-p', '.']],
  ['lint', [bin('oxlint'), '--type-aware', '--deny-warnings']],
  ['format', [bin('prettier'), '--check', '--log-level', 'warn', '.']],
  ['architecture', ['scripts/architecture.ts']],
];
const TESTS = [
  'tests',
  [bin('vitest'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
];

function step([name, [script, ...args]], extra = []) {
  const started = Date.now();
  process.stdout.write(`▸ ${name}\n`);
  const result = spawnSync(process.execPath, [script, ...args, ...extra], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) {
    process.stdout.write(`✗ ${name} failed\n`);
    process.exit(result.status ?? 1);
  }
  process.stdout.write(`✓ ${name} (${Math.round((Date.now() - started) / 1000)} s)\n`);
}

const args = process.argv.slice(2);
mkdirSync(path.dirname(report), { recursive: true });
for (const check of STATIC) step(check);
if (args.includes('--static')) process.exit(0);
step(TESTS, args);

const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
process.stdout.write(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped\n`);
if (numPassedTests === 0 || (process.env.CI === 'true' && numPendingTests > 0)) process.exit(1);
