// The one way in for `npm run …` and `npm test`. Plain JavaScript, because it runs on whatever Node the machine has (≥ 20) before the
// pinned one is there. It installs what is missing, once, and hands over to the pinned runtime.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import process from 'node:process';
import { installDependencies, pinnedNode } from './setup.mjs';
import { installSystemPackages } from './system-packages.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = (name) => path.join(root, 'node_modules', '.bin', name);
// Commands that write files resolve what a person typed against where they stand, not against the checkout.
const standing = process.env.INIT_CWD ?? process.cwd();

const COMMANDS = {
  setup: () => 0,
  demo: (args) => {
    installSystemPackages(['rauc', 'mksquashfs', 'dbus-daemon'], 'the one charger with real RAUC');
    return node(['demo/main.ts', ...args]);
  },
  test: (args) => {
    installSystemPackages(
      [
        'redis-server',
        'rauc',
        'mksquashfs',
        'dbus-daemon',
        'swupdate',
        'softhsm2-util',
        'pkcs11-tool',
        'chromium',
      ],
      'the tests',
    );
    return node(['scripts/test.mjs', ...args]);
  },
  check: (args) => node(['scripts/test.mjs', '--static', ...args]),
  unit: (args) => node([bin('vitest'), 'run', ...args]),
  attacks: (args) => node(['test/attacks/main.ts', ...args]),
  fuzz: (args) => node(['test/attacks/fuzz.ts', ...args]),
  bench: (args) => node(['test/benchmarks/main.ts', ...args]),
  format: () => node([bin('prettier'), '--write', '--log-level', 'warn', '.']),
  tidegate: (args) => node([path.join(root, 'tidegate.ts'), ...args], standing),
  'tidegate-charger': (args) => node([path.join(root, 'tidegate-charger.ts'), ...args], standing),
};

/** Runs the pinned Node; its folder goes first in PATH, so that whatever it starts runs on it too. Resolves with its exit code. */
function node(args, cwd = root) {
  const executable = pinnedNode(root);
  const env = { ...process.env, PATH: `${path.dirname(executable)}${path.delimiter}${process.env.PATH}` };
  const child = spawn(executable, args, { cwd, env, stdio: 'inherit' });
  outlive(child);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

/**
 * A signal ends the child, and this process only after it: a prompt that is back while the child still cleans up is a lie. Ctrl-C
 * at a terminal reaches the child by itself; passing it on as well would make it two, and a second one means "at once".
 */
function outlive(child) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
}

const [name = '', ...args] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
if (command === undefined) {
  process.stderr.write(`Unknown command "${name}". Known: ${Object.keys(COMMANDS).join(', ')}.\n`);
  process.exit(2);
}
installDependencies(root);
process.exit(await command(args));
