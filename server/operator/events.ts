import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { FINAL_STATUSES } from '@tidegate/rollout/core';
import { ApiError, problemOf } from '../http/index.ts';
import { authenticateOperator, requirePermission } from '../identity/index.ts';
import type { Call } from './route.ts';
import { viewOf } from './rollout-view.ts';
import { load } from './rollouts.ts';

/** Of the wall's time: a person watches, not the fleet. */
const LOOK_EVERY_MS = 500;
/** A proxy or a dead peer is found out by this, in looks. */
const KEEP_ALIVE_LOOKS = 30;

type AnyCall = Call<unknown, unknown, unknown>;

/**
 * Server-sent events: the whole view at once and then whenever it differs, so that a client which reconnects has missed nothing.
 * Ends after a final status. The credential is looked at before each view: once it is revoked, the stream says so in a `refused` event
 * that holds the problem, and ends. https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export async function followRollout(call: AnyCall, id: string): Promise<void> {
  let { rollout, revision } = await load(call, id);
  const { response } = call;
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  response.status(200).set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.flushHeaders();
  let last = '';
  for (let quiet = 0; !gone.signal.aborted; quiet++) {
    const observation = await call.deps.store.observe(rollout, call.deps.clock.now());
    const view = JSON.stringify(viewOf(rollout, revision, observation));
    const refusal = await refusalOf(call);
    if (refusal !== undefined) {
      await write(call, event('refused', JSON.stringify(problemOf(refusal))), gone.signal);
      break;
    }
    if (view !== last) {
      await write(call, event('rollout', view), gone.signal);
      last = view;
      quiet = 0;
    } else if (quiet % KEEP_ALIVE_LOOKS === KEEP_ALIVE_LOOKS - 1) {
      await write(call, ': still here\n\n', gone.signal);
    }
    if ((FINAL_STATUSES as readonly string[]).includes(rollout.status)) break;
    await delay(LOOK_EVERY_MS, undefined, { signal: gone.signal }).catch(() => undefined);
    ({ rollout, revision } = await load(call, id));
  }
  response.end();
}

/** Why this caller may not read any more, or undefined: other requests are asked once, a stream as long as it lasts. */
async function refusalOf({ deps, response }: AnyCall): Promise<ApiError | undefined> {
  try {
    requirePermission(await authenticateOperator(deps.db, response.req.headers.authorization), 'read');
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
}

function event(name: string, data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`;
}

/** A client that reads slowly slows its own events down and fills no memory. */
async function write({ response }: AnyCall, chunk: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted || response.write(chunk)) return;
  await once(response, 'drain', { signal }).catch(() => undefined);
}
