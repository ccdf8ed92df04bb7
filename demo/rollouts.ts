/** A rollout of the demo: alice plans it, bob approves, and the rest is the service's. */
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError, EXIT, type ServiceClient } from '@tidegate/server/operator/commands';
import { DemoCommandError, type People } from './people.ts';
import { PRODUCT } from './releases.ts';
import { barsOf } from './rollout-bars.ts';
import type { RolloutView } from './rollout-view.ts';
import type { Stage } from './stage.ts';

export interface RolloutEnd {
  view: RolloutView;
  /** Statuses that it went through, first to last, by the audit log. */
  way: string[];
}

const ENDS = new Set(['COMPLETED', 'ROLLED_BACK', 'CANCELLED']);
const LOOK_MS = 400;
const HOUR = 3_600_000;
/** How long a person watches a pause, of the fleet's time. */
const PAUSE_HOURS = 8;
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

/**
 * Follows a rollout to its end; bob approves whatever waits for a person. Evidence that hangs on one charger pauses, and halts when
 * others bear it out: a person who waits that long and sees nothing more lets the rollout go on.
 */
export async function follow(
  id: string,
  service: ServiceClient,
  { people, clock, screen, signal }: Pick<Stage, 'people' | 'clock' | 'screen' | 'signal'>,
): Promise<RolloutEnd> {
  let told = '';
  for (;;) {
    signal.throwIfAborted();
    const view = await ask(() => service.get<RolloutView>(`/rollouts/${id}`), signal);
    screen.bars(barsOf(view, clock.now()));
    if (ENDS.has(view.status)) {
      screen.end();
      return { view, way: await ask(() => wayOf(service, id), signal) };
    }
    if (view.waitingFor !== null) {
      const what =
        view.waitingFor === 'gate' ? `the gate after ${view.steps[view.current]?.name}` : 'the plan';
      await unlessDone(people.as('bob', 'rollout', 'approve', id, '--reason', `looked at ${what}`));
      screen.say(`  bob approves ${what}.`);
    }
    const why = whyItStands(view);
    if (why !== told && why !== '') screen.say(`  ${why}`);
    told = why;
    if (view.status === 'PAUSED' && clock.now() - Date.parse(view.statusSince) > PAUSE_HOURS * HOUR) {
      const reason = 'watched it, and nothing more came';
      await unlessDone(people.as('alice', 'rollout', 'resume', id, '--reason', reason));
      screen.say('  alice watched it, nothing more came: she lets it go on.');
    }
    await delay(LOOK_MS, undefined, { signal });
  }
}

function whyItStands({ status, pausedBecause, evidence }: RolloutView): string {
  if (status === 'PAUSED') return `paused: ${pausedBecause}`;
  return evidence === null ? '' : `halted: ${evidence.sentence}`;
}

/** What was done although its answer was lost with the service, or came too late, counts all the same. */
async function unlessDone(act: Promise<unknown>): Promise<void> {
  try {
    await act;
  } catch (error) {
    const done = error instanceof DemoCommandError && DONE_ALREADY.includes(error.code);
    if (!done) throw error;
  }
}

const DONE_ALREADY = ['ALREADY_APPROVED', 'NOTHING_TO_APPROVE', 'WRONG_STATUS'];

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
