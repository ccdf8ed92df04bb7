// Installs the npm dependencies from the lock file, once: a second call finds the stamp and does nothing.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const OLDEST = [20, 11];

export function installDependencies(root) {
  const stamp = path.join(root, 'node_modules', '.tidegate-installed');
  const wanted = createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .update(`${process.platform}-${process.arch}`)
    .digest('hex');
  const isDone = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  if (isDone()) return;
  requireNode();
  const release = takeTurn(path.join(root, '.installing'));
  try {
    if (!isDone()) install(root, stamp, wanted);
  } finally {
    release();
  }
}

/** One at a time: two that run npm in one folder leave it broken. Whoever was killed does not keep the next one out. */
function takeTurn(lock) {
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  let held = false;
  const release = () => {
    if (held) rmSync(lock, { force: true });
    held = false;
  };
  process.on('exit', release);
  try {
    while (!held) {
      held = isLinked(mine, lock);
      if (!held && !takeFromTheDead(lock, `${mine}.dead`)) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      }
    }
  } finally {
    rmSync(mine, { force: true });
  }
  return release;
}

/** A link appears whole, with its process's number in it, or not at all. */
function isLinked(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function takeFromTheDead(lock, aside) {
  if (!isDead(lock)) return false;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return true;
    throw error;
  }
  // Somebody else may have taken the dead one's place in between.
  if (!isDead(aside)) isLinked(aside, lock);
  rmSync(aside, { force: true });
  return true;
}

function isDead(lock) {
  try {
    process.kill(Number(readFileSync(lock, 'utf8')), 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    process.stderr.write(
      `Node ${process.versions.node} is too old for the set-up: install Node 20.11 or newer.\n`,
    );
    process.exit(2);
  }
}

function install(root, stamp, wanted) {
  process.stderr.write('Installing dependencies (once, about a minute)…\n');
  // Scripts stay off: nothing that is required may depend on one.
  const args = [
    'ci',
    '--ignore-scripts',
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  const npm = process.env.npm_execpath;
  const result = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
    : spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status !== 0) {
    process.stderr.write(
      'npm ci failed. Check that the npm registry can be reached, then run the command again.\n',
    );
    process.exit(result.status ?? 1);
  }
  writeFileSync(stamp, wanted);
}

/** The Node 24 that the lock file pins; elsewhere the machine's own, if it is new enough for our dependencies. */
export function pinnedNode(root) {
  const pinned = path.join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (existsSync(pinned)) return pinned;
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 24 || (major === 24 && minor >= 15)) return process.execPath;
  process.stderr.write(
    `There is no pinned Node for ${process.platform}-${process.arch}: install Node 24.15 or newer (this is ${process.versions.node}).\n`,
  );
  process.exit(2);
}
