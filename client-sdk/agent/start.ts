/** Takes up an agent's work where the last process left it. */
import { randomBytes } from 'node:crypto';
import { Refusal } from '../protocol/index.ts';
import { systemClock } from './clock.ts';
import type { AgentDeps, Context } from './context.ts';
import { HealthLog } from './health-log.ts';
import { Listener } from './listener.ts';
import { freshState, Memory, readState } from './memory.ts';
import type { AgentState } from './state.ts';
import { TimeKeeper } from './time-keeper.ts';
import { earliestExpiry, TrustKeeper } from './trust-keeper.ts';

/** Everything in the state folder may be missing: then the charger starts from its provisioning. */
export async function start(deps: AgentDeps): Promise<Context> {
  const { identity, files, installer, host, transport, clock } = deps;
  const time = await TimeKeeper.open(files, clock, Date.parse(identity.buildTime));
  const wall = deps.wall ?? systemClock;
  const trust = new TrustKeeper(files, transport, identity, wall);
  // The wall's clock is off by as much as the agent's is: on a charger they are one.
  const trustedWall = (): number => wall.now() + time.correction;
  // Whoever holds the director's key may sign any time. One beyond the roles' lives would end every certificate, and with it the line on which
  // the charger could hear a better one.
  const provenUntil = (): number => (trust.current ? earliestExpiry(trust.current) : time.floor);
  const past = (): number => Math.max(time.floor, Math.min(trustedWall(), provenUntil()));
  transport.judgeTimeBy?.({
    now: () => (time.heard ? trustedWall() : undefined),
    floor: () => (time.heard ? past() : time.floor),
  });
  await trust.recall(time.floor);
  return {
    identity,
    files,
    installer,
    host,
    transport,
    clock,
    mirrors: deps.mirrors ?? [],
    wall,
    random: deps.random ?? ((bytes) => randomBytes(bytes)),
    memory: new Memory(files, await stateOf(deps)),
    time,
    trust,
    health: await HealthLog.open(files, host, identity.healthBin * 1000),
    listener: new Listener(identity, time, trust),
    rebootAskedAt: undefined,
    trialWatch: { lookedAt: undefined, clockSet: 0 },
  };
}

async function stateOf({ identity, files, installer, onEvent }: AgentDeps): Promise<AgentState> {
  try {
    const state = await readState(files);
    if (state) return { ...state, floor: Math.max(state.floor, identity.securityFloor) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    onEvent?.({ type: 'refused', refusal: error });
  }
  const { booted, inactive, trial } = await installer.status();
  // A trial proves nothing, so what was there before it is what is committed.
  return freshState((trial ? inactive : booted).image ?? identity.factory, identity.securityFloor);
}
