import { z } from 'zod';
import { ApiError, freeChunk } from '../../http/index.ts';
import {
  type Collectable,
  collectGarbage,
  findCollectable,
  findTakeOver,
  KEEP_DAYS,
  loadVersions,
  type Publication,
  publish,
  receiveUpload,
  takeOver,
} from '../../publishing/index.ts';
import { findUpload } from '../../publishing/staging.ts';
import { type Call, defineRoute, type Route } from '../route.ts';
import { product, sha256, text } from '../schemas.ts';

/** Longest publication, in bytes: some 10,000 releases of one product with room to spare. */
const PUBLICATION_LIMIT = 32 * 1024 * 1024;

const document = z.string().min(2).max(PUBLICATION_LIMIT);
const versions = z.object({
  root: z.number().int(),
  targets: z.number().int(),
  snapshot: z.number().int(),
  timestamp: z.number().int(),
  roles: z.record(z.string(), z.number().int()),
});

const publication = z.strictObject({
  roots: z.array(document).max(16).default([]),
  targets: document.nullable().default(null),
  policy: document.nullable().default(null),
  sigstoreRoot: document.nullable().default(null),
  products: z.record(product, document).default({}),
  strand: z.array(text(256)).max(1000).default([]),
});

const published = z.object({
  changed: z.boolean(),
  versions,
  releases: z.array(
    z.object({ product: z.string(), version: z.string(), path: z.string(), sha256: z.string() }),
  ),
  changedReleases: z.array(z.object({ product: z.string(), version: z.string() })),
  yanked: z.array(z.string()),
});

const collected = z.object({
  keepDays: z.number().int().meta({ description: 'Days for which what was current or listed is kept.' }),
  documents: z.array(z.string()).meta({ description: 'Metadata that no recent timestamp leads to.' }),
  releases: z
    .array(z.object({ path: z.string(), keys: z.array(z.string()), bytes: z.number().int() }))
    .meta({ description: 'Yanked releases that nobody runs, falls back to or is sent.' }),
});

const paths = z.array(z.string());
const takenOver = z.object({
  fenced: z.boolean().meta({ description: 'Whether another service has written into the store.' }),
  over: z.number().int().meta({ description: "Version of the store's timestamp." }),
  roles: z.array(z.object({ role: z.string(), from: z.number().int(), to: z.number().int() })),
  added: paths,
  changed: paths,
  yanked: paths,
});

export const publishingRoutes: Route[] = [
  defineRoute({
    method: 'get',
    path: '/repository',
    permission: 'read',
    summary: 'Say which metadata versions are published',
    answer: versions,
    handle: async (call) => {
      const body = await loadVersions(call.deps.db, call.operator.organisation);
      if (body === undefined) throw new ApiError('NOT_FOUND', 'Nothing is published for this organisation.');
      return { body };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/repository/collectable',
    permission: 'release.publish',
    summary: 'Say which files of the store nobody needs any more',
    answer: collected,
    handle: async (call) => ({ body: collectionView(await findCollectable(ownRepository(call))) }),
  }),
  defineRoute({
    method: 'post',
    path: '/repository/collect',
    permission: 'release.publish',
    summary: 'Remove the files of the store that nobody needs any more',
    body: z.strictObject({}),
    answer: collected,
    handle: async (call) => {
      const { actor: name, ...why } = call.actor;
      const found = await collectGarbage(ownRepository(call), { name, ...why });
      return { body: collectionView(found) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/repository/take-over',
    permission: 'release.publish',
    summary: 'Say what this service would learn from a store that another service has written into',
    answer: takenOver,
    handle: async (call) => ({ body: await findTakeOver(ownRepository(call)) }),
  }),
  defineRoute({
    method: 'post',
    path: '/repository/take-over',
    permission: 'repository.take-over',
    summary: 'Learn it, and be the one that writes there from now on',
    body: z.strictObject({ over: z.number().int().min(1) }),
    answer: takenOver,
    handle: async (call) => {
      const { actor: name, ...why } = call.actor;
      return { body: await takeOver(ownRepository(call), call.body.over, { name, ...why }) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/uploads/:sha256',
    permission: 'release.publish',
    summary: 'Say whether a file is here already, so that it need not be uploaded again',
    params: z.object({ sha256 }),
    query: z.strictObject({ path: text(256).optional() }),
    answer: z.object({ sha256: z.string(), length: z.number().int() }),
    handle: async (call) => {
      const deps = ownRepository(call);
      const length = await findUpload(deps, call.params.sha256, call.query.path);
      if (length === undefined) throw new ApiError('NOT_FOUND', `No file ${call.params.sha256}.`);
      return { body: { sha256: call.params.sha256, length } };
    },
  }),
  defineRoute({
    method: 'put',
    path: '/uploads/:sha256',
    permission: 'release.publish',
    summary: 'Upload one file; it waits for the publication that lists it',
    params: z.object({ sha256 }),
    answer: z.object({ sha256: z.string(), length: z.number().int() }),
    status: 201,
    stream: true,
    handle: async (call) => {
      const deps = ownRepository(call);
      const length = contentLength(call.response.req.headers['content-length']);
      const upload = { sha256: call.params.sha256, length, body: call.stream, written: freeChunk };
      return { body: await receiveUpload(deps, upload) };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/publications',
    permission: 'release.publish',
    summary: 'Publish signed metadata and the files that it lists, whole or not at all',
    body: publication,
    bodyLimit: PUBLICATION_LIMIT,
    answer: published,
    handle: async (call) => {
      const deps = ownRepository(call);
      const { actor: name, ...why } = call.actor;
      const given: Publication = call.body;
      return { body: await publish(deps, given, { name, ...why }) };
    },
  }),
];

function collectionView({ documents, releases }: Collectable): z.input<typeof collected> {
  return { keepDays: KEEP_DAYS, documents, releases };
}

/** One service holds one repository. Credentials of another organisation find nothing to publish into. */
function ownRepository({ deps, operator }: Pick<Call<unknown, unknown, unknown>, 'deps' | 'operator'>) {
  if (operator.organisation === deps.publishing.organisation) return deps.publishing;
  throw new ApiError('NOT_FOUND', 'This service publishes for another organisation.');
}

function contentLength(header: string | undefined): number {
  const length = Number(header);
  if (header === undefined || !Number.isSafeInteger(length) || length < 0) {
    throw new ApiError('LENGTH_REQUIRED', 'The request has no Content-Length.');
  }
  return length;
}
