import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inspect } from '../../scripts/architecture.ts';

const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const ROOMS = ['client-sdk', 'signer', 'rollout', 'server'];

/** A copy of the house whose workspace links lead into the copy, so that a violation can be planted in it. */
let house: string;

beforeAll(async () => {
  house = await mkdtemp(path.join(tmpdir(), 'tidegate-house-'));
  for (const part of [
    ...ROOMS,
    'demo',
    'tidegate.ts',
    'tidegate-charger.ts',
    'package.json',
    'tsconfig.json',
  ]) {
    await cp(path.join(ROOT, part), path.join(house, part), { recursive: true });
  }
  await mkdir(path.join(house, 'node_modules', '@tidegate'), { recursive: true });
  for (const room of ROOMS) {
    await symlink(path.join(house, room), path.join(house, 'node_modules', '@tidegate', room));
  }
  const express = path.join(house, 'node_modules', 'express');
  await mkdir(express);
  await writeFile(path.join(express, 'package.json'), '{"name":"express","main":"index.js"}');
  await writeFile(path.join(express, 'index.js'), '');
});

afterAll(async () => {
  await rm(house, { recursive: true, force: true });
});

const PLANTED = [
  {
    rule: 'imports-only-go-down',
    file: 'client-sdk/protocol/planted.ts',
    code: "export * from '../trust/index.ts';",
  },
  { rule: 'imports-only-go-down', file: 'rollout/core/planted.ts', code: "import '@tidegate/server/db';" },
  { rule: 'imports-only-go-down', file: 'signer/keys/planted.ts', code: "import '@tidegate/rollout/core';" },
  { rule: 'pure-rooms-do-no-io', file: 'rollout/core/planted.ts', code: "import 'node:fs';" },
  { rule: 'pure-rooms-do-no-io', file: 'rollout/health/planted.ts', code: "import 'express';" },
  { rule: 'everything-resolves', file: 'server/db/planted.ts', code: "import './not-there.ts';" },
  { rule: 'charger-core-stays-small', file: 'client-sdk/trust/planted.ts', code: "import 'express';" },
];

test.each(PLANTED)('$code planted in $file is found as $rule', async ({ rule, file, code }) => {
  await writeFile(path.join(house, file), `${code}\n`);
  const { findings } = await inspect(house);
  await rm(path.join(house, file));
  expect(findings.map((finding) => ({ rule: finding.rule, from: finding.from }))).toContainEqual({
    rule,
    from: file,
  });
});

test('a circle of two files is found', async () => {
  await writeFile(path.join(house, 'signer/keys/one.ts'), "import './two.ts';\n");
  await writeFile(path.join(house, 'signer/keys/two.ts'), "import './one.ts';\n");
  const { findings } = await inspect(house);
  await rm(path.join(house, 'signer/keys/one.ts'));
  await rm(path.join(house, 'signer/keys/two.ts'));
  expect(findings.map((finding) => finding.rule)).toContain('no-circles');
});

test('the house as it is has no violation, and was read', async () => {
  const { modules, findings } = await inspect(ROOT);
  expect(findings).toEqual([]);
  expect(modules).toBeGreaterThan(12);
});
