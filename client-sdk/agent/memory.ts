/** Where the agent's state lies between boots: `agent.json` in the state folder, written whole. */
import { refusing } from '../protocol/index.ts';
import type { RunningImage } from '../protocol/index.ts';
import type { Files } from '../trust/index.ts';
import { readAgentState } from './state-file.ts';
import { step } from './state.ts';
import type { AgentEvent, AgentState } from './state.ts';

const FILE = 'agent.json';

/** The state of a charger that has lost its own, or never had any. Design §3: "lost state starts there". */
export function freshState(running: RunningImage, securityFloor: number): AgentState {
  return {
    format: 1,
    committed: running,
    fallbackOfInstalled: [],
    floor: securityFloor,
    fellBackFrom: [],
    last: null,
    job: null,
  };
}

/** The state in memory and on disk. */
export class Memory {
  readonly #files: Files;
  #state: AgentState;

  constructor(files: Files, state: AgentState) {
    this.#files = files;
    this.#state = state;
  }

  get state(): AgentState {
    return this.#state;
  }

  /** The change is on disk when this resolves, so that it may be acted on. */
  async apply(event: AgentEvent): Promise<void> {
    const after = step(this.#state, event);
    if (after === this.#state) return;
    await this.#files.write(FILE, Buffer.from(JSON.stringify(after)));
    this.#state = after;
  }

  /** For what may be forgotten in a power cut without harm; the next durable change carries it along. */
  applyLazily(event: AgentEvent): void {
    this.#state = step(this.#state, event);
  }
}

/**
 * @returns undefined where there is none
 * @throws Refusal `STATE_CORRUPT`
 */
export async function readState(files: Files): Promise<AgentState | undefined> {
  const bytes = await files.read(FILE);
  return bytes && refusing('STATE_CORRUPT', FILE, () => readAgentState(bytes));
}
