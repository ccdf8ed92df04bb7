import { sql } from 'kysely';
import { z } from 'zod';
import { Refusal, type RefusalCode, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { refuseByPolicy } from '@tidegate/client-sdk/trust';
import type { Row } from '../../db/index.ts';
import { ApiError } from '../../http/index.ts';
import { defineRoute, type Route } from '../route.ts';
import { page, pageOf, product, time, toPage, version } from '../schemas.ts';

const productView = z.object({
  id: z.string(),
  hardware: z.array(z.string()).meta({ description: 'What its releases fit.' }),
  roleVersion: z.number().int(),
  releases: z.number().int(),
  chargers: z.number().int().meta({ description: 'Active ones.' }),
});

const fallback = z.object({
  path: z.string(),
  sha256: z.string(),
  expires: z.string(),
  auto: z.boolean(),
});

const sideFile = z.object({ path: z.string(), sha256: z.string(), length: z.number().int() });

const release = z.object({
  product: z.string(),
  version: z.string(),
  path: z.string(),
  sha256: z.string(),
  length: z.number().int(),
  hardware: z.array(z.string()),
  securityVersion: z.number().int(),
  fallback: z.array(fallback),
  notes: z.string(),
  cves: z.array(z.string()),
  bundles: z.array(sideFile).meta({ description: 'Its attestations, as Sigstore bundles.' }),
  sbom: sideFile.nullable(),
  deprecated: z.string().nullable().meta({ description: 'Why no new rollout of it can be planned.' }),
  refusal: z
    .string()
    .nullable()
    .meta({ description: 'Code with which chargers refuse the image by the policy, whoever attested it.' }),
  publishedBy: z.string(),
  publishedAt: time,
  yankedAt: time.nullable(),
});

const releaseDetail = release.extend({
  chargers: z.number().int().meta({ description: 'Active chargers that run it.' }),
});

export const releaseRoutes: Route[] = [
  defineRoute({
    method: 'get',
    path: '/products',
    permission: 'read',
    summary: 'List products: what the published top-level targets delegate to',
    answer: z.object({ items: z.array(productView) }),
    handle: async ({ deps, operator: { organisation } }) => {
      const { rows } = await sql<{
        id: string;
        hardware: string[];
        role_version: number;
        releases: number;
        chargers: number;
      }>`
        select p.id, p.hardware, coalesce((r.roles ->> p.id)::bigint, 0) as role_version,
          (select count(*) from releases x where x.organisation = p.organisation and x.product = p.id
            and x.yanked_at is null) as releases,
          (select count(*) from chargers c where c.organisation = p.organisation and c.product = p.id
            and c.state = 'ACTIVE') as chargers
        from products p left join repository r on r.organisation = p.organisation
        where p.organisation = ${organisation} order by p.id`.execute(deps.db);
      return {
        body: { items: rows.map(({ role_version, ...row }) => ({ ...row, roleVersion: role_version })) },
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/releases',
    permission: 'read',
    summary: 'List releases, by path',
    query: page.extend({ product: product.optional() }),
    answer: pageOf(release),
    handle: async ({ deps, operator, query }) => {
      let rows = deps.db.selectFrom('releases').selectAll().where('organisation', '=', operator.organisation);
      if (query.product !== undefined) rows = rows.where('product', '=', query.product);
      if (query.after !== undefined) rows = rows.where('path', '>', query.after);
      const found = await rows
        .orderBy('path')
        .limit(query.limit + 1)
        .execute();
      const policy = await publishedPolicy(deps.db, operator.organisation);
      return {
        body: toPage(
          found,
          query.limit,
          (row) => row.path,
          (row) => releaseView(row, policy),
        ),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/releases/:product/:version',
    permission: 'read',
    summary: 'Show a release',
    params: z.object({ product, version }),
    answer: releaseDetail,
    handle: async ({ deps, operator: { organisation }, params }) => {
      const row = await findRelease(deps.db, { organisation, ...params });
      const { chargers } = await deps.db
        .selectFrom('chargers')
        .select(({ fn }) => fn.countAll<number>().as('chargers'))
        .where('organisation', '=', organisation)
        .where('product', '=', row.product)
        .where('state', '=', 'ACTIVE')
        .where('running_sha256', '=', row.sha256)
        .executeTakeFirstOrThrow();
      const policy = await publishedPolicy(deps.db, organisation);
      return { body: { ...releaseView(row, policy), chargers } };
    },
  }),
];

type Db = Parameters<Route['handle']>[0]['deps']['db'];

/** @throws ApiError `PRODUCT_UNKNOWN`, `RELEASE_UNKNOWN` */
export async function findRelease(
  db: Db,
  name: { organisation: string; product: string; version: string },
): Promise<Row<'releases'>> {
  const row = await db
    .selectFrom('releases')
    .selectAll()
    .where('organisation', '=', name.organisation)
    .where('product', '=', name.product)
    .where('version', '=', name.version)
    .executeTakeFirst();
  if (row !== undefined) return row;
  await requireProduct(db, name.organisation, name.product);
  throw new ApiError('RELEASE_UNKNOWN', `${name.product} ${name.version}`, { pointer: '/version' });
}

/** @throws ApiError `PRODUCT_UNKNOWN` */
export async function requireProduct(db: Db, organisation: string, id: string): Promise<Row<'products'>> {
  const row = await db
    .selectFrom('products')
    .selectAll()
    .where('organisation', '=', organisation)
    .where('id', '=', id)
    .executeTakeFirst();
  if (row === undefined) throw new ApiError('PRODUCT_UNKNOWN', id, { pointer: '/product' });
  return row;
}

/** Null before the first publication. */
async function publishedPolicy(db: Db, organisation: string): Promise<TrustPolicy | null> {
  const row = await db
    .selectFrom('repository')
    .select('policy')
    .where('organisation', '=', organisation)
    .executeTakeFirst();
  return row?.policy ?? null;
}

/** @returns the code with which the policy refuses the image, or null. */
function refusalOf(row: Row<'releases'>, policy: TrustPolicy | null): RefusalCode | null {
  if (policy === null) return null;
  try {
    refuseByPolicy(row, row.product, policy);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

function releaseView(row: Row<'releases'>, policy: TrustPolicy | null): z.input<typeof release> {
  const { hardware, securityVersion, fallback: ways, notes, cves, bundles, sbom } = row.custom;
  return {
    product: row.product,
    version: row.version,
    path: row.path,
    sha256: row.sha256,
    length: row.length,
    hardware,
    securityVersion,
    fallback: ways,
    notes,
    cves,
    bundles,
    sbom,
    deprecated: row.custom.deprecated ?? null,
    refusal: refusalOf(row, policy),
    publishedBy: row.published_by,
    publishedAt: row.published_at.toISOString(),
    yankedAt: row.yanked_at?.toISOString() ?? null,
  };
}
