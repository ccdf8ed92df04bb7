import { z } from 'zod';
import type { Row } from '../../db/index.ts';
import { verifyAudit } from '../../audit/index.ts';
import {
  addOperator,
  confirmOperator,
  countsAs,
  loadProvenance,
  revokeOperator,
  ROLES,
} from '../../identity/index.ts';
import { defineRoute, type Route } from '../route.ts';
import { operatorName, organisation, page, pageOf, sha256, text, time, toPage } from '../schemas.ts';

const roles = z
  .array(z.enum(ROLES))
  .min(1)
  .max(ROLES.length)
  .refine((given) => new Set(given).size === given.length, 'A role is named twice.');

const operatorView = z.object({
  name: z.string(),
  roles: z.array(z.enum(ROLES)),
  createdAt: time,
  revokedAt: time.nullable(),
  addedBy: z.string().nullable().meta({ description: 'Null: listed in operators.json.' }),
  confirmedBy: z.string().nullable(),
  countsAs: z.string().meta({ description: 'Whose approval this one is, where two people are needed.' }),
});

const auditRow = z.object({
  position: z.number().int(),
  at: time,
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  reason: z.string(),
  source: z.string(),
  detail: z.record(z.string(), z.unknown()),
  hash: sha256,
});

/** Who may call, and what they did. */
export const peopleRoutes: Route[] = [
  defineRoute({
    method: 'get',
    path: '/whoami',
    permission: 'read',
    summary: 'Say who the credential belongs to',
    answer: z.object({ organisation, name: z.string(), roles: z.array(z.enum(ROLES)) }),
    handle: ({ operator }) => Promise.resolve({ body: { ...operator, roles: [...operator.roles] } }),
  }),
  defineRoute({
    method: 'get',
    path: '/operators',
    permission: 'operator.manage',
    summary: 'List operators',
    answer: z.object({ items: z.array(operatorView) }),
    handle: async ({ deps, operator }) => {
      const rows = await deps.db
        .selectFrom('operators')
        .select(['name', 'roles', 'created_at', 'revoked_at', 'added_by', 'confirmed_by'])
        .where('organisation', '=', operator.organisation)
        .orderBy('name')
        .execute();
      const people = await loadProvenance(deps.db, operator.organisation);
      const items = rows.map((row) => ({
        name: row.name,
        roles: row.roles,
        createdAt: row.created_at.toISOString(),
        revokedAt: row.revoked_at?.toISOString() ?? null,
        addedBy: row.added_by,
        confirmedBy: row.confirmed_by,
        countsAs: countsAs(row.name, people),
      }));
      return { body: { items } };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/operators',
    permission: 'operator.manage',
    summary:
      'Add an operator; the credential is shown this once. They count as whoever adds them until somebody else confirms them',
    body: z.strictObject({ name: operatorName, roles }),
    answer: z.object({ name: z.string(), credential: z.string() }),
    status: 201,
    secret: true,
    handle: async ({ deps, operator, actor, now, body }) => {
      const who = { organisation: operator.organisation, ...body };
      const credential = await addOperator(deps.db, who, actor, new Date(now));
      return { body: { name: body.name, credential } };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/operators/:name/revoke',
    permission: 'operator.manage',
    summary: "Refuse an operator's credential from now on",
    params: z.object({ name: operatorName }),
    body: z.strictObject({}),
    answer: z.object({ name: z.string() }),
    handle: async ({ deps, operator, actor, now, params }) => {
      const who = { organisation: operator.organisation, name: params.name };
      await revokeOperator(deps.db, who, actor, new Date(now));
      return { body: { name: params.name } };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/operators/:name/confirm',
    permission: 'operator.confirm',
    summary:
      'Confirm that an added operator is a person of their own, whose approval counts beside that of who added them',
    params: z.object({ name: operatorName }),
    body: z.strictObject({}),
    answer: z.object({ name: z.string() }),
    handle: async ({ deps, operator, actor, now, params }) => {
      const who = { organisation: operator.organisation, name: params.name };
      await confirmOperator(deps.db, who, actor, new Date(now));
      return { body: { name: params.name } };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/audit',
    permission: 'audit.read',
    summary: 'List the audit log, oldest first',
    query: page.extend({ after: z.coerce.number().int().min(0).optional(), subject: text(200).optional() }),
    answer: pageOf(auditRow),
    handle: async ({ deps, operator, query }) => {
      let rows = deps.db.selectFrom('audit').selectAll().where('organisation', '=', operator.organisation);
      if (query.subject !== undefined) rows = rows.where('subject', '=', query.subject);
      const found = await rows
        .where('position', '>', query.after ?? 0)
        .orderBy('position')
        .limit(query.limit + 1)
        .execute();
      const view = toPage(found, query.limit, (row) => String(row.position), auditView);
      return { body: view };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/audit/verify',
    permission: 'audit.read',
    summary:
      'Recompute the hash chain of the audit log, against a head that was kept elsewhere when one is given',
    query: z
      .strictObject({ position: z.coerce.number().int().min(1).optional(), hash: sha256.optional() })
      .refine(({ position, hash }) => (position === undefined) === (hash === undefined), {
        message: 'Give position and hash together.',
        path: ['hash'],
      }),
    answer: z.union([
      z.object({ ok: z.literal(true), head: z.object({ position: z.number().int(), hash: sha256 }) }),
      z.object({
        ok: z.literal(false),
        position: z.number().int(),
        fault: z.enum(['MISSING', 'UNCHAINED', 'CHANGED', 'REWRITTEN']),
      }),
    ]),
    handle: async ({ deps, operator, query: { position, hash } }) => {
      const kept = position === undefined || hash === undefined ? undefined : { position, hash };
      return { body: await verifyAudit(deps.db, operator.organisation, kept) };
    },
  }),
];

function auditView(row: Row<'audit'>): z.input<typeof auditRow> {
  const { position, at, actor, action, subject, reason, source, detail, hash } = row;
  return { position, at: at.toISOString(), actor, action, subject, reason, source, detail, hash };
}
