/** A rollout as people read it. */
import { z } from 'zod';
import { ASSIGNMENT_STATES, type Observation, type Rollout } from '@tidegate/rollout/core';
import type { Unheard } from '../db/index.ts';
import { waitsOf } from './rollout-waits.ts';
import { time } from './schemas.ts';

const approval = z.object({ by: z.string(), at: time, reason: z.string() });

const step = z.object({
  kind: z.enum(['canary', 'wave', 'holdBack']),
  name: z.string(),
  status: z.enum(['PENDING', 'OPEN', 'SOAKING', 'GATE', 'PASSED', 'FAILED']),
  size: z.number().int(),
  approvalsNeeded: z.number().int(),
  approvals: z.array(approval),
  soak: z.object({
    hours: z.number(),
    chargerHours: z.number(),
    since: time.nullable(),
    reportedChargerHours: z.number(),
  }),
  counts: z
    .partialRecord(z.enum(ASSIGNMENT_STATES), z.number().int())
    .meta({ description: 'Chargers of the step by state of their assignment.' }),
});

export const evidence = z.object({
  at: time,
  kind: z.enum(['detector', 'hardEvents', 'failures', 'person']),
  sentence: z.string(),
  signal: z.string().optional(),
  m: z.number().nullable().optional(),
  threshold: z.number().optional(),
  logLikelihood: z.record(z.string(), z.number()).optional(),
  treated: z.object({ events: z.number(), exposure: z.number() }).optional(),
  control: z.object({ events: z.number(), exposure: z.number() }).optional(),
  comparison: z.enum(['concurrent', 'earlier']).optional().meta({
    description:
      'Whether control is chargers without the release at the same time, or what was before the rollout.',
  }),
  behind: z
    .object({
      chargers: z.array(z.object({ serial: z.string(), site: z.string(), events: z.number() })),
      others: z.object({ chargers: z.number().int(), sites: z.number().int() }),
      lnMWithoutFirst: z.number(),
    })
    .optional()
    .meta({
      description:
        'Chargers that the evidence is from, the one that matters most first, and ln M without that one.',
    }),
  by: z.string().optional(),
  reason: z.string().optional(),
});

export const rolloutSummary = z.object({
  id: z.string(),
  product: z.string(),
  version: z.string(),
  status: z.string(),
  statusSince: time,
  author: z.string(),
  createdAt: time,
  population: z.number().int(),
  revision: z.number().int(),
});

export const rolloutView = rolloutSummary.extend({
  seed: z.string().meta({ description: 'Of the cohort draw; whoever knows it can repeat the draw.' }),
  approvalsNeeded: z.number().int(),
  approvals: z.array(approval),
  current: z.number().int().meta({ description: 'Index of the step under way; -1 before the first.' }),
  steps: z.array(step),
  pausedBecause: z.string().nullable(),
  holding: z.string().nullable().meta({ description: 'Why the step under way is held.' }),
  evidence: evidence.nullable(),
  unreturned: z.number().int().meta({ description: 'Chargers that could not go back.' }),
  waitingFor: z.enum(['approval', 'gate']).nullable().meta({ description: 'Whether it waits for a person.' }),
  waits: z.array(z.string()).meta({ description: 'What has to happen before it goes on by itself.' }),
  warnings: z.array(z.string()).meta({
    description: 'Before it starts: what would keep its first step from opening, were it to start now.',
  }),
  plan: z.unknown(),
});

export type RolloutView = z.output<typeof rolloutView>;

export function summaryOf(rollout: Rollout, revision: number): z.input<typeof rolloutSummary> {
  return {
    id: rollout.id,
    product: rollout.product,
    version: rollout.release.version,
    status: rollout.status,
    statusSince: iso(rollout.statusSince),
    author: rollout.author,
    createdAt: iso(rollout.createdAt),
    population: rollout.population,
    revision,
  };
}

export function viewOf(
  rollout: Rollout,
  revision: number,
  observation: Observation,
  known: { silent?: Unheard | undefined; barred?: string | undefined; warnings?: string[] } = {},
): z.input<typeof rolloutView> {
  return {
    ...summaryOf(rollout, revision),
    seed: rollout.seed,
    approvalsNeeded: rollout.plan.approvals,
    approvals: rollout.approvals.map(approvalOf),
    current: rollout.current,
    steps: rollout.steps.map((each, i) => ({
      kind: each.kind,
      name: each.name,
      status: each.status,
      size: each.size,
      approvalsNeeded: each.approvalsNeeded,
      approvals: each.approvals.map(approvalOf),
      soak: {
        ...each.soak,
        since: each.soakingSince === null ? null : iso(each.soakingSince),
        reportedChargerHours: observation.steps[i]?.treatedChargerHours ?? 0,
      },
      counts: observation.steps[i]?.counts ?? {},
    })),
    pausedBecause: rollout.pausedBecause,
    holding: rollout.holding,
    evidence: rollout.evidence === null ? null : evidenceOf(rollout.evidence),
    unreturned: rollout.unreturned,
    waitingFor: waitingFor(rollout),
    waits: waitsOf(rollout, observation, known.silent, known.barred),
    warnings: known.warnings ?? [],
    plan: rollout.plan,
  };
}

function waitingFor(rollout: Rollout): 'approval' | 'gate' | null {
  if (rollout.status === 'AWAITING_APPROVAL') return 'approval';
  const step = rollout.steps[rollout.current];
  if (rollout.status !== 'RUNNING' || step?.status !== 'GATE') return null;
  return step.approvals.length < step.approvalsNeeded ? 'gate' : null;
}

export function evidenceOf(found: NonNullable<Rollout['evidence']>): z.input<typeof evidence> {
  const { at, m, ...rest } = found;
  // JSON has no Infinity.
  return { ...rest, at: iso(at), ...(m === undefined ? {} : { m: Number.isFinite(m) ? m : null }) };
}

function approvalOf({ by, at, reason }: Rollout['approvals'][number]): z.input<typeof approval> {
  return { by, at: iso(at), reason };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
