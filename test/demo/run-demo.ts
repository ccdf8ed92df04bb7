/** Starts the demo, or a play in its place, as a person would, and looks for what it left. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export const ROOT = path.dirname(path.dirname(import.meta.dirname));

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcess;
  ended: Promise<Ended>;
}

/** The way of `npm run demo -- …`; `onLine` sees what it tells a person, line by line. */
export function runDemo(args: readonly string[], onLine: (line: string) => void): Started {
  return start([path.join(ROOT, 'scripts', 'run.mjs'), 'demo', ...args], onLine);
}

/** Runs a script in a process group of its own, as a shell does with each job. */
export function start(args: readonly string[], onLine: (line: string) => void): Started {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const ended = new Promise<Ended>((resolve, reject) => {
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
  return { child, ended };
}

/** What a terminal does at Ctrl-C: everybody of the job gets it. */
export function pressCtrlC({ child }: Started): void {
  if (child.pid === undefined) throw new Error('It did not start.');
  process.kill(-child.pid, 'SIGINT');
}

/** Folders of a demo: as root its database lies outside a private folder. */
export async function placesOf(folder: string): Promise<string[]> {
  const record = path.join(folder, 'tidegate', 'service', 'postgres', 'elsewhere');
  const id = await readFile(record, 'utf8').catch(() => '');
  return id === '' ? [folder] : [folder, path.join('/var/lib/tidegate/data', id)];
}

export interface Running {
  pid: number;
  line: string;
}

/** Processes that work in one of these folders, or name it in their command line or environment. */
export async function processesOf(places: readonly string[]): Promise<Running[]> {
  const found: Running[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [line, environment, cwd] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
      readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''),
      readlink(`/proc/${pid}/cwd`).catch(() => ''),
    ]);
    const names = (place: string): boolean =>
      line.includes(place) || environment.includes(`=${place}`) || cwd.startsWith(place);
    if (places.some(names)) found.push({ pid: Number(pid), line: line.replaceAll('\0', ' ') });
  }
  return found;
}

/** Resolves when none is left. */
export async function nothingRuns(places: readonly string[]): Promise<void> {
  while ((await processesOf(places)).length > 0) await delay(50);
}
