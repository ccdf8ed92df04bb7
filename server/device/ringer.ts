import type { Doorbell, RolloutRef } from '@tidegate/rollout/shell';

/**
 * Rings the doorbell for rollouts whose evidence or counts changed; many changes within `everyMs` of the wall's time become one ring.
 * A ring that is lost changes nothing: the sweeper rings again.
 */
export class Ringer {
  readonly #doorbell: Pick<Doorbell, 'ring'>;
  readonly #everyMs: number;
  readonly #report: (error: unknown) => void;
  #pending = new Map<string, RolloutRef>();
  #timer: NodeJS.Timeout | undefined;

  constructor(doorbell: Pick<Doorbell, 'ring'>, everyMs: number, report: (error: unknown) => void) {
    this.#doorbell = doorbell;
    this.#everyMs = everyMs;
    this.#report = report;
  }

  ring(refs: Iterable<RolloutRef>): void {
    for (const ref of refs) this.#pending.set(`${ref.organisation}/${ref.id}`, ref);
    if (this.#pending.size === 0 || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.flush(), this.#everyMs);
    this.#timer.unref();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const refs = [...this.#pending.values()];
    this.#pending.clear();
    for (const ref of refs) this.#doorbell.ring(ref).catch(this.#report);
  }
}
