/** Which service holds a state directory: one at a time, and the second is told which. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { StartError } from './errors.ts';

const record = z.object({
  pid: z.number().int().min(1),
  /** Of the process, as the kernel counts it: a number that was given to another process since does not deceive. */
  born: z.string(),
  /** 0 before it is known. */
  port: z.number().int(),
});

export interface Holder {
  pid: number;
  port: number;
}

export interface Claim {
  /** Tells the next one where this one listens. */
  listensOn(port: number): Promise<void>;
  release(): Promise<void>;
}

const fileIn = (folder: string): string => join(folder, 'running.json');

/**
 * Takes the state directory for this process.
 * @param folder the service's part of it.
 * @throws StartError `ALREADY_RUNNING`
 */
export async function claimState(folder: string): Promise<Claim> {
  const path = fileIn(folder);
  const own = { pid: process.pid, born: (await bornAt(process.pid)) ?? '' };
  const aside = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  // Written aside, so that nobody ever reads half of it.
  const write = (port: number) => writeFile(aside, `${JSON.stringify({ ...own, port })}\n`, { mode: 0o600 });
  await write(0);
  try {
    while (!(await linked(aside, path))) {
      const holder = await holderOf(folder);
      if (holder !== undefined) throw new StartError('ALREADY_RUNNING', describe(holder));
      // Left behind by one that was killed. Should two find it at the same moment, port and PostgreSQL still take only one of them.
      await rm(path, { force: true });
    }
  } finally {
    await rm(aside, { force: true });
  }
  return {
    async listensOn(port) {
      await write(port);
      await rename(aside, path);
    },
    release: () => rm(path, { force: true }),
  };
}

/** A link is made whole or not at all, and never over another. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The live process that holds the state directory, or undefined. */
export async function holderOf(folder: string): Promise<Holder | undefined> {
  const text = await readFile(fileIn(folder), 'utf8').catch(() => '');
  const parsed = record.safeParse(jsonOf(text));
  if (!parsed.success) return undefined;
  const { pid, born, port } = parsed.data;
  return (await bornAt(pid)) === born ? { pid, port } : undefined;
}

export function describe({ pid, port }: Holder): string {
  return `Process ${pid} serves this folder${port === 0 ? '' : ` at https://localhost:${port}`}.`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const STATE_FIELD = 0;
const START_TIME_FIELD = 19;

/** Start time of a live process, in clock ticks since boot; undefined when there is none, or only its remains. proc_pid_stat(5) */
async function bornAt(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name of the program comes second, in brackets, and may itself hold any.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined || fields[STATE_FIELD] === 'Z' ? undefined : fields[START_TIME_FIELD];
}
