/** A rollout of the demo: alice plans it, bob approves, and the rest is the service's. */
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError, EXIT, type ServiceClient } from '@tidegate/server/operator/commands';
import { DemoCommandError, type People } from './people.ts';
import { PRODUCT } from './releases.ts';
import type { Bar, Screen } from './screen.ts';

export interface RolloutView {
  id: string;
  status: string;
  waitingFor: 'approval' | 'gate' | null;
  current: number;
  steps: { name: string; status: string; size: number; counts: Partial<Record<string, number>> }[];
  pausedBecause: string | null;
  evidence: { sentence: string; kind: string } | null;
}

export interface RolloutEnd {
  view: RolloutView;
  /** Statuses that it went through, first to last, by the audit log. */
  way: string[];
}

const ENDS = new Set(['COMPLETED', 'ROLLED_BACK', 'CANCELLED']);
const LOOK_MS = 400;
/** A minute of a service that is away is too much. */
const TRIES = 150;

export async function createRollout(
  people: People,
  version: string,
  planFile: string,
  reason: string,
): Promise<RolloutView> {
  const words = ['--product', PRODUCT, '--version', version, '--plan', planFile, '--reason', reason];
  return people.as<RolloutView>('alice', 'rollout', 'create', ...words);
}

/** Follows a rollout to its end; bob approves whatever waits for a person. */
export async function follow(
  id: string,
  people: People,
  service: ServiceClient,
  screen: Screen,
  signal: AbortSignal,
): Promise<RolloutEnd> {
  for (;;) {
    signal.throwIfAborted();
    const view = await ask(() => service.get<RolloutView>(`/rollouts/${id}`), signal);
    screen.bars(barsOf(view));
    if (ENDS.has(view.status)) {
      screen.end();
      return { view, way: await ask(() => wayOf(service, id), signal) };
    }
    if (view.waitingFor !== null) {
      const what =
        view.waitingFor === 'gate' ? `the gate after ${view.steps[view.current]?.name}` : 'the plan';
      await approve(people, id, `looked at ${what}`);
      screen.say(`  bob approves ${what}.`);
    }
    if (view.status === 'PAUSED') throw new Error(`The rollout was paused: ${view.pausedBecause}`);
    await delay(LOOK_MS, undefined, { signal });
  }
}

/** An approval whose answer was lost with the service counts all the same. */
async function approve(people: People, id: string, reason: string): Promise<void> {
  try {
    await people.as('bob', 'rollout', 'approve', id, '--reason', reason);
  } catch (error) {
    const done = error instanceof DemoCommandError && DONE_ALREADY.includes(error.code);
    if (!done) throw error;
  }
}

const DONE_ALREADY = ['ALREADY_APPROVED', 'NOTHING_TO_APPROVE'];

const STATUSES = new Set(
  'AWAITING_APPROVAL SCHEDULED RUNNING PAUSED COMPLETED HALTED ROLLING_BACK ROLLED_BACK CANCELLED'.split(' '),
);

async function wayOf(service: ServiceClient, id: string): Promise<string[]> {
  const query = { subject: id, limit: 500 };
  const { items } = await service.get<{ items: { detail: { to?: string } }[] }>('/audit', query);
  const way: string[] = [];
  for (const { to = '' } of items.map(({ detail }) => detail)) {
    if (STATUSES.has(to) && way.at(-1) !== to) way.push(to);
  }
  return way;
}

/** Asks until the service answers: it may be starting again. */
async function ask<T>(question: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await question();
    } catch (error) {
      const away = error instanceof CommandError && error.exit === EXIT.unreachable;
      if (!away || tries === TRIES) throw error;
      await delay(LOOK_MS, undefined, { signal });
    }
  }
}

const SETTLED = ['HEALTHY', 'ROLLED_BACK', 'SKIPPED'];
const UNDER_WAY = ['OFFERED', 'DOWNLOADING', 'STAGED', 'WAITING_WINDOW', 'INSTALLING', 'VERIFYING'];
const SHOWN = ['FAILED', 'LOST', 'ROLLING_BACK', 'ROLLED_BACK', 'SKIPPED'];

export function barsOf(view: RolloutView): Bar[] {
  return view.steps.map(({ name, status, size, counts }) => {
    const sum = (states: string[]): number => states.reduce((n, state) => n + (counts[state] ?? 0), 0);
    const more = [
      ...(sum(UNDER_WAY) > 0 ? [`${sum(UNDER_WAY)} under way`] : []),
      ...SHOWN.filter((state) => (counts[state] ?? 0) > 0).map(
        (state) => `${counts[state]} ${state.toLowerCase().replace('_', ' ')}`,
      ),
    ];
    const healthy = `${counts['HEALTHY'] ?? 0}/${size} healthy`;
    return {
      label: name,
      share: size === 0 ? 0 : sum(SETTLED) / size,
      note: [status.toLowerCase().padEnd(7), healthy, ...more].join('  '),
    };
  });
}

/** Chargers that ran the release at any time. */
export function everTaken(view: RolloutView): number {
  const TAKEN = ['VERIFYING', 'HEALTHY', 'ROLLING_BACK', 'ROLLED_BACK'];
  return view.steps.reduce(
    (sum, { counts }) => sum + TAKEN.reduce((n, state) => n + (counts[state] ?? 0), 0),
    0,
  );
}
