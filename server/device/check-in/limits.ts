import { type Transaction, sql } from 'kysely';
import { IN_FLIGHT } from '@tidegate/rollout/core';
import type { Database } from '../../db/index.ts';
import type { Watched } from './batch.ts';

/**
 * The limits that bind at every moment: chargers of one site, and of one rollout, that are out for the update. Design §4
 *
 * Who asks for room holds the organisation's offer lock until its transaction ends, so that two service processes cannot both
 * see the last place free. What the same transaction has given out is counted, because it reads its own writes.
 */
export class Limits {
  readonly #trx: Transaction<Database>;
  readonly #organisation: string;
  #locked = false;

  constructor(trx: Transaction<Database>, organisation: string) {
    this.#trx = trx;
    this.#organisation = organisation;
  }

  async hasRoom(site: string, { rollout }: Watched): Promise<boolean> {
    await this.take();
    const { perSite, inFlight } = rollout.plan.limits;
    return (
      (await this.#outAtSite(site, perSite)) < perSite &&
      (await this.#inFlight(rollout.id, inFlight)) < inFlight
    );
  }

  /** Takes the offer lock. Best before counters are written: then no transaction that holds counters waits for it. */
  async take(): Promise<void> {
    if (this.#locked) return;
    const name = `tidegate offers ${this.#organisation}`;
    await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(this.#trx);
    this.#locked = true;
  }

  /** Of whatever rollout: a site's customers do not care which one takes their chargers. Counts no further than the limit. */
  async #outAtSite(site: string, limit: number): Promise<number> {
    const { rows } = await sql<{ n: number }>`
      select count(*) as n from (
        select from assignments
        where organisation = ${this.#organisation} and site = ${site}
          and (state = any(${[...IN_FLIGHT]}) or (state = 'ROLLING_BACK' and back_offered_at is not null))
        limit ${limit}) as out`.execute(this.#trx);
    return rows[0]?.n ?? 0;
  }

  async #inFlight(rollout: string, limit: number): Promise<number> {
    const { rows } = await sql<{ n: number }>`
      select (
        select coalesce(sum(chargers), 0) from step_counts
        where organisation = ${this.#organisation} and rollout = ${rollout} and state = any(${[...IN_FLIGHT]})
      )::bigint + (
        select count(*) from (
          select from assignments
          where organisation = ${this.#organisation} and rollout = ${rollout}
            and state = 'ROLLING_BACK' and back_offered_at is not null
          limit ${limit}) as back
      ) as n`.execute(this.#trx);
    return rows[0]?.n ?? 0;
  }
}
