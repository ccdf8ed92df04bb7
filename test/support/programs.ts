/** Small executables for tests, written in JavaScript and run by the Node that runs the tests. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Writes an executable `folder/name`. The body may use `args` and `await input()`, and `crypto`, `fs`, `spawn` of Node, and `run(program, args, input)`. */
export async function writeProgram(folder: string, name: string, body: string): Promise<string> {
  const script = join(folder, `.${name}.mjs`);
  const program = join(folder, name);
  await writeFile(script, `${PRELUDE}\n${body}\n`);
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`);
  await chmod(program, 0o755);
  return program;
}

const PRELUDE = `
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
const args = process.argv.slice(2);
const option = (name) => args[args.indexOf(name) + 1];
const input = () => fs.readFileSync(0);
const run = (program, more, stdin) => spawnSync(program, more, { input: stdin, stdio: ['pipe', 'pipe', 'inherit'] });
`;
