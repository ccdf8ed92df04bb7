// What `npm test` runs, in order, each with its name: types, lint, format, architecture, then every test.
import { spawnSync } from 'node:child_process';
import { readFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import process from 'node:process';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = (name) => path.join(root, 'node_modules', '.bin', name);

const STATIC = [
  ['types', [bin('tsc'), '-p', '.']],
  ['lint', [bin('oxlint'), '--type-aware', '--deny-warnings']],
  ['format', [bin('prettier'), '--check', '--log-level', 'warn', '.']],
  ['architecture', ['scripts/architecture.ts']],
];
const reportOf = (name) => path.join(root, 'out', `${name}.json`);
const vitest = (name, args) => [
  name,
  [
    bin('vitest'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${reportOf(name)}`,
    ...args,
  ],
];
// The demo needs the machine for itself, so it runs after the others.
const TESTS = [vitest('tests', ['--exclude', 'test/demo/**']), vitest('demo', ['test/demo'])];

function step([name, [script, ...args]]) {
  const started = Date.now();
  process.stdout.write(`▸ ${name}\n`);
  const result = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) {
    process.stdout.write(`✗ ${name} failed\n`);
    process.exit(result.status ?? 1);
  }
  process.stdout.write(`✓ ${name} (${Math.round((Date.now() - started) / 1000)} s)\n`);
}

const args = process.argv.slice(2);
mkdirSync(path.join(root, 'out'), { recursive: true });
for (const check of STATIC) step(check);
if (args.includes('--static')) process.exit(0);
for (const tests of TESTS) step(tests);

const total = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0 };
for (const [name] of TESTS) {
  const report = JSON.parse(readFileSync(reportOf(name), 'utf8'));
  for (const count of Object.keys(total)) total[count] += report[count];
  for (const { assertionResults } of report.testResults) {
    for (const { status, fullName } of assertionResults) {
      if (status === 'pending' || status === 'skipped') process.stdout.write(`skipped: ${fullName}\n`);
    }
  }
}
const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = total;
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
if (passed === 0) process.exit(1);
if (process.env.CI === 'true' && skipped > 0) {
  process.stdout.write('With CI=true a skipped test is a failure.\n');
  process.exit(1);
}
