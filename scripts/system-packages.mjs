// Installs Debian packages that the tests and the demo use for real, where it may: as root, or with a sudo that asks no password.
// Where it may not, whoever needs them says so and skips.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const PACKAGE_OF = {
  'redis-server': 'redis-server',
  rauc: 'rauc',
  mksquashfs: 'squashfs-tools',
  'dbus-daemon': 'dbus',
  swupdate: 'swupdate',
  'softhsm2-util': 'softhsm2',
  'pkcs11-tool': 'opensc',
  chromium: 'chromium',
};

export function installSystemPackages(programs, what) {
  const missing = programs.filter((program) => !installed(program));
  if (missing.length === 0) return;
  const packages = missing.map((program) => PACKAGE_OF[program]);
  const apt = aptPrefix();
  if (apt === undefined) {
    process.stderr.write(
      `Not installed, and no right to install them: ${packages.join(', ')}. What needs them is skipped and says so.\n`,
    );
    return;
  }
  process.stderr.write(`Installing for ${what}: ${packages.join(', ')}…\n`);
  if (!run([...apt, 'install', '-y', '--no-install-recommends', ...packages])) {
    run([...apt, 'update']);
    if (!run([...apt, 'install', '-y', '--no-install-recommends', ...packages])) {
      process.stderr.write(
        `apt-get could not install ${packages.join(', ')}. What needs them is skipped and says so.\n`,
      );
    }
  }
}

function installed(program) {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(path.join(folder, program)));
}

function aptPrefix() {
  if (!installed('apt-get')) return undefined;
  if (process.getuid?.() === 0) return ['apt-get'];
  if (installed('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0)
    return ['sudo', '-n', 'apt-get'];
  return undefined;
}

function run([command, ...args]) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { env, stdio: ['ignore', 'ignore', 'ignore'] }).status === 0;
}
