import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { evaluate } from '@tidegate/rollout/health';
import { ASSIGNMENT_STATES } from '@tidegate/rollout/core';
import { followRollout } from '../events.ts';
import { defineRoute, type Route } from '../route.ts';
import { evidence, evidenceOf, rolloutSummary, rolloutView, summaryOf, viewOf } from '../rollout-view.ts';
import { createAndSubmit, submit } from '../one-at-a-time.ts';
import { act, create, load, type PersonAction } from '../rollouts.ts';
import { page, pageOf, product, rolloutId, text, time, toPage, version } from '../schemas.ts';
import { barredDigests, type Db, unheard } from '../../db/index.ts';
import { waitsOf, warningsOf } from '../rollout-waits.ts';

const params = z.object({ id: rolloutId });

const assignment = z.object({
  serial: z.string(),
  site: z.string(),
  step: z.number().int(),
  state: z.string(),
  code: z.string().nullable(),
  detail: z.string().nullable(),
  updatedAt: time,
});

const figures = z.object({ events: z.number(), exposure: z.number() });
const why = z.object({
  status: z.string(),
  evidence: evidence.nullable(),
  pausedBecause: z.string().nullable(),
  holding: z.string().nullable(),
  waits: z.array(z.string()).meta({ description: 'What has to happen before it goes on by itself.' }),
  signals: z
    .array(
      z.object({
        signal: z.string(),
        comparison: z.enum(['concurrent', 'earlier']),
        m: z.number().nullable().meta({ description: 'Null: beyond what a number holds.' }),
        threshold: z.number(),
        treated: figures,
        control: figures,
        expected: z.number(),
      }),
    )
    .meta({ description: 'What the detector sees now. Exposures are weighted.' }),
  hard: z.object({ chargers: z.number().int(), sites: z.number().int(), code: z.string().nullable() }),
  failed: z
    .array(assignment)
    .meta({ description: 'Chargers that refused, fell back or are lost; the first 100.' }),
});

const ACTIONS: Record<PersonAction, { permission: Route['permission']; summary: string }> = {
  submit: { permission: 'rollout.create', summary: 'Ask for approval' },
  approve: {
    permission: 'rollout.approve',
    summary: "Approve the plan, or the gate that it waits at; never one's own",
  },
  pause: { permission: 'rollout.control', summary: 'Offer nothing new; what is under way goes on' },
  resume: { permission: 'rollout.control', summary: 'Go on; no gate is skipped' },
  halt: {
    permission: 'rollout.control',
    summary: 'Stop for cause: nothing is offered and nothing staged is activated',
  },
  rollback: {
    permission: 'rollout.control',
    summary: 'Halt, and send every charger that took the release back',
  },
  cancel: { permission: 'rollout.control', summary: 'End it before it runs' },
};

export const rolloutRoutes: Route[] = [
  defineRoute({
    method: 'get',
    path: '/rollouts',
    permission: 'read',
    summary: 'List rollouts, newest first',
    query: page.extend({ product: product.optional() }),
    answer: pageOf(rolloutSummary),
    handle: async ({ deps, operator, query }) => {
      let rows = deps.db
        .selectFrom('rollouts')
        .select(['id', 'state', 'revision'])
        .where('organisation', '=', operator.organisation);
      if (query.product !== undefined) rows = rows.where('product', '=', query.product);
      if (query.after !== undefined) rows = rows.where(createdBefore(operator.organisation, query.after));
      const found = await rows
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(query.limit + 1)
        .execute();
      return {
        body: toPage(
          found,
          query.limit,
          (row) => row.id,
          (row) => summaryOf(row.state, row.revision),
        ),
      };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/rollouts',
    permission: 'rollout.create',
    summary: 'Plan a rollout of a release, and ask for approval unless it is to stay a draft',
    body: z.strictObject({
      product,
      version,
      plan: z
        .unknown()
        .default({})
        .meta({ description: 'What is left out has a default; see the plan in the answer.' }),
      seed: text(64).optional().meta({ description: 'Of the cohort draw; random when left out.' }),
      draft: z.boolean().default(false),
    }),
    answer: rolloutView,
    status: 201,
    handle: async (call) => {
      const make = call.body.draft ? create : createAndSubmit;
      const { rollout, revision } = await make(call, call.body);
      const observation = await call.deps.store.observe(rollout, call.now);
      const warnings = await warningsOf(call, rollout);
      return { body: viewOf(rollout, revision, observation, { warnings }), etag: String(revision) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts/:id',
    permission: 'read',
    summary: 'Show a rollout with its steps and how far they are',
    params,
    answer: rolloutView,
    handle: async (call) => {
      const { rollout, revision } = await load(call, call.params.id);
      const observation = await call.deps.store.observe(rollout, call.now);
      const silent = await unheard(call.deps.db, rollout);
      const barred = await barredFor(call.deps.db, rollout);
      const warnings = await warningsOf(call, rollout);
      const known = { silent, barred, warnings };
      return { body: viewOf(rollout, revision, observation, known), etag: String(revision) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts/:id/assignments',
    permission: 'read',
    summary: 'List the chargers of a rollout, by serial number',
    params,
    query: page.extend({ state: z.enum(ASSIGNMENT_STATES).optional() }),
    answer: pageOf(assignment),
    handle: async (call) => {
      const { rollout } = await load(call, call.params.id);
      const { after = null, limit, state } = call.query;
      const rows = await call.deps.store.assignments(rollout, {
        after,
        limit: limit + 1,
        ...(state === undefined ? {} : { state }),
      });
      return { body: toPage(rows, limit, (row) => row.serial, assignmentView) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts/:id/why',
    permission: 'read',
    summary: 'Say why a rollout is where it is: the evidence, and what the detector sees now',
    params,
    answer: why,
    handle: async (call) => {
      const { rollout } = await load(call, call.params.id);
      const observation = await call.deps.store.observe(rollout, call.now);
      const verdict = evaluate(observation.bins, rollout.plan.detector, observation.earlier);
      const failed = await Promise.all(
        (['FAILED', 'LOST'] as const).map((state) =>
          call.deps.store.assignments(rollout, { after: null, limit: 100, state }),
        ),
      );
      return {
        body: {
          status: rollout.status,
          evidence: rollout.evidence === null ? null : evidenceOf(rollout.evidence),
          pausedBecause: rollout.pausedBecause,
          holding: rollout.holding,
          waits: waitsOf(
            rollout,
            observation,
            await unheard(call.deps.db, rollout),
            await barredFor(call.deps.db, rollout),
          ),
          signals: verdict.signals.map(
            ({ signal, comparison, m, threshold, treated, control, expected }) => ({
              signal,
              comparison,
              m: Number.isFinite(m) ? m : null,
              threshold,
              treated,
              control,
              expected,
            }),
          ),
          hard: observation.hard,
          failed: failed.flat().slice(0, 100).map(assignmentView),
        },
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts/:id/events',
    permission: 'read',
    summary: 'Follow a rollout: one `rollout` event with the whole view whenever something changed',
    params,
    answer: z.string(),
    live: true,
    handle: async (call) => {
      await followRollout(call, call.params.id);
      return undefined;
    },
  }),
  ...Object.entries(ACTIONS).map(([action, { permission, summary }]) =>
    defineRoute({
      method: 'post',
      path: `/rollouts/:id/${action}`,
      permission,
      summary,
      params,
      body: z.strictObject({}),
      answer: rolloutView,
      handle: async (call) => {
        const { id } = call.params;
        const { rollout, revision } =
          action === 'submit' ? await submit(call, id) : await act(call, id, action as PersonAction);
        const observation = await call.deps.store.observe(rollout, call.now);
        return { body: viewOf(rollout, revision, observation), etag: String(revision) };
      },
    }),
  ),
];

/** Why nobody is sent to the rollout's release any more; undefined where nothing speaks against it. */
async function barredFor(
  db: Db,
  { organisation, release: { sha256 } }: { organisation: string; release: { sha256: string } },
): Promise<string | undefined> {
  return (await barredDigests(db, organisation, [sha256])).get(sha256);
}

function assignmentView({
  updatedAt,
  ...row
}: {
  updatedAt: number;
} & Omit<z.input<typeof assignment>, 'updatedAt'>): z.input<typeof assignment> {
  return { ...row, updatedAt: new Date(updatedAt).toISOString() };
}

/** An id begins with its day and goes on at random, so that only the time of creation says what is newer. */
function createdBefore(organisation: string, id: string): RawBuilder<boolean> {
  return sql<boolean>`(created_at, id) < (
    select last.created_at, last.id from rollouts as last where last.organisation = ${organisation} and last.id = ${id})`;
}
