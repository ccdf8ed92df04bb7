import { z } from 'zod';
import type { Row } from '../../db/index.ts';
import { ApiError } from '../../http/index.ts';
import { defineRoute, type Route } from '../route.ts';
import { hardware, page, pageOf, product, serial, sha256, siteId, time, toPage } from '../schemas.ts';

const chargerState = z.enum(['EXPECTED', 'ACTIVE', 'RETIRED']);

const charger = z.object({
  serial: z.string(),
  product: z.string(),
  hardware: z.string(),
  site: z.string(),
  state: chargerState,
  running: z.object({ version: z.string(), sha256: z.string().nullable() }).nullable(),
  online: z.boolean(),
  charging: z.boolean(),
  lastSeenAt: time.nullable(),
});

const chargerDetail = charger.extend({
  certificateExpiresAt: time.nullable(),
  enrolledAt: time.nullable(),
  replacedBy: z.string().nullable(),
  marks: z.record(z.string(), z.number()),
  baseline: z.record(z.string(), z.array(z.number())),
  assignments: z.array(
    z.object({
      rollout: z.string(),
      step: z.number().int(),
      state: z.string(),
      code: z.string().nullable(),
      detail: z.string().nullable(),
      updatedAt: time,
    }),
  ),
});

const SHOWN_ASSIGNMENTS = 20;

export const chargerRoutes: Route[] = [
  defineRoute({
    method: 'get',
    path: '/fleet',
    permission: 'read',
    summary: 'List chargers, by serial number',
    query: page.extend({
      product: product.optional(),
      site: siteId.optional(),
      state: chargerState.optional(),
      hardware: hardware.optional(),
      running: z
        .union([sha256, z.literal('none')])
        .optional()
        .meta({
          description: 'SHA-256 of the image that they run; `none` for those that have told no digest.',
        }),
    }),
    answer: pageOf(charger),
    handle: async ({ deps, operator, query }) => {
      let rows = deps.db.selectFrom('chargers').selectAll().where('organisation', '=', operator.organisation);
      if (query.product !== undefined) rows = rows.where('product', '=', query.product);
      if (query.site !== undefined) rows = rows.where('site', '=', query.site);
      if (query.state !== undefined) rows = rows.where('state', '=', query.state);
      if (query.hardware !== undefined) rows = rows.where('hardware', '=', query.hardware);
      if (query.running === 'none') rows = rows.where('running_sha256', 'is', null);
      else if (query.running !== undefined) rows = rows.where('running_sha256', '=', query.running);
      if (query.after !== undefined) rows = rows.where('serial', '>', query.after);
      const found = await rows
        .orderBy('serial')
        .limit(query.limit + 1)
        .execute();
      return { body: toPage(found, query.limit, (row) => row.serial, chargerView) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/fleet/:serial',
    permission: 'read',
    summary: 'Show a charger',
    params: z.object({ serial }),
    answer: chargerDetail,
    handle: async ({ deps, operator: { organisation }, params }) => {
      const row = await deps.db
        .selectFrom('chargers')
        .selectAll()
        .where('organisation', '=', organisation)
        .where('serial', '=', params.serial)
        .executeTakeFirst();
      if (row === undefined) throw new ApiError('NOT_FOUND', `Charger ${params.serial}.`);
      const assignments = await deps.db
        .selectFrom('assignments')
        .select(['rollout', 'step', 'state', 'code', 'detail', 'updated_at'])
        .where('organisation', '=', organisation)
        .where('serial', '=', params.serial)
        .orderBy('updated_at', 'desc')
        .limit(SHOWN_ASSIGNMENTS)
        .execute();
      return {
        body: {
          ...chargerView(row),
          certificateExpiresAt: iso(row.certificate_expires_at),
          enrolledAt: iso(row.enrolled_at),
          replacedBy: row.replaced_by,
          marks: row.marks,
          baseline: row.baseline,
          assignments: assignments.map(({ updated_at, ...rest }) => ({
            ...rest,
            updatedAt: updated_at.toISOString(),
          })),
        },
      };
    },
  }),
];

function chargerView(row: Row<'chargers'>): z.input<typeof charger> {
  const { running_version, running_sha256 } = row;
  return {
    serial: row.serial,
    product: row.product,
    hardware: row.hardware,
    site: row.site,
    state: row.state,
    running: running_version === null ? null : { version: running_version, sha256: running_sha256 },
    online: row.online,
    charging: row.charging,
    lastSeenAt: iso(row.last_seen_at),
  };
}

function iso(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}
