import { z } from 'zod';
import type { Row } from '../../db/index.ts';
import { ApiError } from '../../http/index.ts';
import { audited } from '../change.ts';
import { defineRoute, type Route } from '../route.ts';
import { page, pageOf, siteId, slug, text, time, toPage } from '../schemas.ts';

const timeZone = z
  .string()
  .max(64)
  .refine(isTimeZone, 'Not an IANA time zone.')
  .meta({ description: 'IANA name: windows and freezes are in local time.', example: 'Europe/Berlin' });

const newSite = z.strictObject({
  id: siteId,
  name: text(100).optional(),
  type: slug.meta({ description: 'E.g. depot, street, workplace. Cohorts mirror the fleet by it.' }),
  region: slug.meta({ description: 'E.g. de-be. Cohorts mirror the fleet by it.' }),
  timeZone,
});

const site = z.object({
  id: z.string(),
  name: z.string(),
  type: z.string(),
  region: z.string(),
  timeZone: z.string(),
  createdAt: time,
});

export const siteRoutes: Route[] = [
  defineRoute({
    method: 'get',
    path: '/sites',
    permission: 'read',
    summary: 'List sites',
    query: page,
    answer: pageOf(site),
    handle: async ({ deps, operator, query }) => {
      let rows = deps.db.selectFrom('sites').selectAll().where('organisation', '=', operator.organisation);
      if (query.after !== undefined) rows = rows.where('id', '>', query.after);
      const found = await rows
        .orderBy('id')
        .limit(query.limit + 1)
        .execute();
      return { body: toPage(found, query.limit, (row) => row.id, siteView) };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/sites',
    permission: 'site.write',
    summary: 'Add a site',
    body: newSite,
    answer: site,
    status: 201,
    handle: async (call) => {
      const { id, name, type, region, timeZone: time_zone } = call.body;
      const added = await audited(call, async (trx) => {
        const row = await trx
          .insertInto('sites')
          .values({
            organisation: call.operator.organisation,
            id,
            name: name ?? id,
            type,
            region,
            time_zone,
            created_at: new Date(call.now),
          })
          .onConflict((conflict) => conflict.doNothing())
          .returningAll()
          .executeTakeFirst();
        if (row === undefined) throw new ApiError('ALREADY_EXISTS', `Site ${id}.`, { pointer: '/id' });
        return { value: row, audit: { action: 'site.add', subject: id, detail: call.body } };
      });
      return { body: siteView(added) };
    },
  }),
];

function siteView(row: Row<'sites'>): z.input<typeof site> {
  const { id, name, type, region, time_zone, created_at } = row;
  return { id, name, type, region, timeZone: time_zone, createdAt: created_at.toISOString() };
}

/** `Intl` also takes offsets such as `+02:00`, which know no daylight saving. */
function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name }).format();
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}
