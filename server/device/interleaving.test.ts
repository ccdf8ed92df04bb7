/**
 * Random interleavings of chargers, workers and people against two services on one real PostgreSQL. Invariants 6, 7 and 8 of design §8
 * are checked from outside: the limits by the database itself at each commit, the rest on every directive that a charger gets.
 */
import * as fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Directive } from '@tidegate/client-sdk/protocol';
import {
  type Fleet,
  NEW,
  OLD,
  ORG,
  type TestCharger,
  act,
  addChargers,
  checkIn,
  confirm,
  countersAreTrue,
  forget,
  makeFleet,
  startRollout,
} from './testing/fleet.ts';
import { deviceRouter } from './index.ts';
import { serve } from './testing/service.ts';

const LIMITS = { perSite: 2, inFlight: 3 };
let fleet: Fleet;
let rival: Fleet;

beforeAll(async () => {
  fleet = await makeFleet();
  const service = await serve(deviceRouter(fleet.deps), fleet.deps.authority);
  rival = { ...fleet, service };
  await watchLimits();
});
afterEach(() => forget(fleet));
afterAll(async () => {
  await rival.service.close();
  await fleet.close();
});

/** What a charger does next; what makes no sense in its state, it says all the same. */
const DEEDS = ['polls', 'stages', 'confirms', 'boots', 'fails', 'plugs in', 'unplugs', 'is back'] as const;
type Deed = (typeof DEEDS)[number];
const deeds = fc.constantFrom<Deed>('polls', 'polls', 'stages', 'confirms', 'confirms', 'boots', ...DEEDS);
/** Beside the chargers: a worker gives up who is late, people halt and roll back, or nothing happens. */
const events = fc.oneof(
  { weight: 8, arbitrary: fc.constant('nothing' as const) },
  { weight: 2, arbitrary: fc.constant('deadline' as const) },
  { weight: 1, arbitrary: fc.constant('halt' as const) },
);
const rounds = fc.array(fc.tuple(fc.array(deeds, { minLength: 10, maxLength: 10 }), events), {
  minLength: 8,
  maxLength: 14,
});

test('no limit is exceeded at any commit, nothing is offered or activated after a halt, nor during a session', async () => {
  const seen = new Set<string>();
  const berlin = await addChargers(fleet, 5, 'berlin');
  const paris = await addChargers(fleet, 5, 'paris');
  await fc.assert(
    fc.asyncProperty(rounds, async (history) => {
      await forget(fleet, { chargers: true });
      // Two rollouts share both sites: a site's customers do not care which of them takes their chargers.
      const first = [...berlin.slice(0, 3), ...paris.slice(0, 3)];
      const second = [...berlin.slice(3), ...paris.slice(3)];
      const ids = [await startRollout(fleet, first, LIMITS), await startRollout(fleet, second, LIMITS)];
      const chargers = [...first, ...second].map((charger) => new Actor(charger, seen));
      for (const [round, event] of history) {
        const deed = (i: number): Promise<void> =>
          chargers[i]?.does(round[i] ?? 'polls', i % 2 === 0 ? fleet : rival) ?? Promise.resolve();
        await Promise.all([...chargers.map((_, i) => deed(i)), happens(event, ids, chargers)]);
        expect(await violations()).toEqual([]);
      }
      expect(await countersAreTrue(fleet.db)).toBe(true);
    }),
    { seed: 6, numRuns: 6 },
  );
  // The histories do reach what they are to check.
  expect([...seen].sort()).toEqual([
    'activate',
    'activate back',
    'install',
    'install back',
    'none',
    'withdraw',
  ]);
}, 240_000);

async function happens(
  event: 'nothing' | 'deadline' | 'halt',
  ids: string[],
  chargers: Actor[],
): Promise<void> {
  if (event === 'deadline') {
    fleet.clock.pass(73);
    for (const id of ids) await fleet.store.expire({ organisation: ORG, id }, fleet.clock.now());
  }
  const [id] = ids;
  if (event !== 'halt' || id === undefined || chargers[0]?.halted === true) return;
  await act(fleet, id, 'halt');
  for (const actor of chargers.slice(0, 6)) actor.halted = true;
  await act(fleet, id, 'rollback');
}

class Actor {
  readonly #charger: TestCharger;
  readonly #seen: Set<string>;
  /** The halt of its rollout has committed. */
  halted = false;
  #charging = false;
  #runs = OLD;
  #forward: string | undefined;
  #back: string | undefined;
  /** Booted by a live confirmation. */
  #confirmed: 'forward' | 'back' | undefined;

  constructor(charger: TestCharger, seen: Set<string>) {
    this.#charger = charger;
    this.#seen = seen;
  }

  async does(deed: Deed, service: Fleet): Promise<void> {
    if (deed === 'plugs in') this.#charging = true;
    if (deed === 'unplugs') this.#charging = false;
    if (deed === 'confirms') return this.#confirm(service);
    if (deed === 'boots' && this.#confirmed !== undefined) {
      this.#runs = this.#confirmed === 'forward' ? NEW : OLD;
      // One confirmation is one boot. What comes to run the release without one is a fact, and in no limit's power.
      this.#confirmed = undefined;
    }
    await this.#checkIn(deed, service);
  }

  async #checkIn(deed: Deed, service: Fleet): Promise<void> {
    const halted = this.halted;
    const running = {
      sha256: this.#runs,
      version: this.#runs === NEW ? '1.1.0' : '1.0.0',
      securityVersion: 1,
    };
    const report = this.#report(deed);
    const { said } = await checkIn(service, this.#charger, { running, charging: this.#charging, ...report });
    this.#note(said, halted);
    if (said.action !== 'install') return;
    if (said.purpose === 'rollback') this.#back = said.assignment;
    else this.#forward = said.assignment;
  }

  #report(deed: Deed) {
    const { assignment, progress } = { assignment: this.#back ?? this.#forward, progress: PROGRESS[deed] };
    if (assignment === undefined || progress === undefined) return {};
    // Health is claimed of what runs, nothing else.
    const wanted = this.#back === undefined ? NEW : OLD;
    return progress === 'HEALTHY' && this.#runs !== wanted ? {} : { assignment: { assignment, progress } };
  }

  async #confirm(service: Fleet): Promise<void> {
    const halted = this.halted;
    const assignment = this.#back ?? this.#forward;
    if (assignment === undefined) return;
    const back = this.#back !== undefined;
    try {
      const said = await confirm(service, this.#charger, assignment, back ? OLD : NEW);
      this.#note(said, halted);
      if (said.action !== 'activate') return;
      // The service knows of the session from the last check-in.
      expect(this.#charging).toBe(false);
      this.#confirmed = back ? 'back' : 'forward';
    } catch (error) {
      expect((error as Error).message).toBe('ACTIVATION_HELD');
    }
  }

  #note({ action, purpose, assignment }: Directive, halted: boolean): void {
    const back = purpose === 'rollback' || assignment?.endsWith('.back') === true;
    this.#seen.add(back && action !== 'withdraw' ? `${action} back` : action);
    if (halted && !back) expect(['none', 'withdraw']).toContain(action);
  }
}

const PROGRESS: Partial<Record<Deed, 'STAGED' | 'HEALTHY' | 'FAILED'>> = {
  stages: 'STAGED',
  boots: 'HEALTHY',
  'is back': 'HEALTHY',
  fails: 'FAILED',
};

/** The database notes at each commit which limit does not hold then. */
async function watchLimits(): Promise<void> {
  const out = `state in ('OFFERED', 'DOWNLOADING', 'STAGED', 'WAITING_WINDOW', 'INSTALLING', 'VERIFYING')
    or (state = 'ROLLING_BACK' and back_offered_at is not null)`;
  await sql
    .raw(
      `create table violations (what text, chargers int);
       create function watch_limits() returns trigger language plpgsql as $$ begin
         insert into violations select site, count(*) from assignments where ${out}
           group by site having count(*) > ${LIMITS.perSite};
         insert into violations select rollout, count(*) from assignments where ${out}
           group by rollout having count(*) > ${LIMITS.inFlight};
         return null;
       end $$;
       create constraint trigger watch_limits after insert or update on assignments
         deferrable initially deferred for each row execute function watch_limits()`,
    )
    .execute(fleet.db);
}

/** Those of the commits so far, and what stands now: two commits at one moment do not see each other. */
async function violations(): Promise<unknown[]> {
  await sql`update assignments set detail = detail where rollout in (select rollout from assignments limit 1)`.execute(
    fleet.db,
  );
  return (await sql`select distinct what, chargers from violations`.execute(fleet.db)).rows;
}
