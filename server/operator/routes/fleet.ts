import { z } from 'zod';
import { ApiError } from '../../http/index.ts';
import { expectCharger, retireCharger } from '../charger-changes.ts';
import { audited } from '../change.ts';
import { type Call, defineRoute, type Route } from '../route.ts';
import { hardware, product, serial, siteId, time, version } from '../schemas.ts';
import { adopt } from '../adopt.ts';
import { requireProduct } from './releases.ts';

const HOUR_MS = 60 * 60 * 1000;
const DEFAULT_TOKEN_HOURS = 72;
const LONGEST_TOKEN_HOURS = 90 * 24;

const hours = z.number().min(0.1).max(LONGEST_TOKEN_HOURS).default(DEFAULT_TOKEN_HOURS);
const newHardware = z.boolean().default(false).meta({
  description: 'The product comes on this hardware, though no release of it fits yet.',
});
const token = z.object({
  serial: z.string(),
  product: z.string(),
  hardware: z.string(),
  site: z.string(),
  token: z.string().meta({ description: 'Shown this once.' }),
  expiresAt: time,
  note: z.string().nullable().meta({ description: 'What could not be checked.' }),
});

export const fleetChangeRoutes: Route[] = [
  defineRoute({
    method: 'post',
    path: '/fleet/tokens',
    permission: 'fleet.write',
    summary: 'Make a one-time enrolment token for a serial number',
    body: z.strictObject({ serial, product, hardware, site: siteId, hours, newHardware }),
    answer: token,
    status: 201,
    secret: true,
    handle: async (call) => {
      const { organisation } = call.operator;
      const { hours: life, newHardware: isNew, ...rest } = call.body;
      const note = await checkHardware(call, rest, isNew);
      const place = { organisation, ...rest };
      const made = await audited(call, async (trx) => ({
        value: await expectCharger(trx, place, call.operator.name, lifeOf(call, life)),
        audit: { action: 'fleet.token', subject: rest.serial, detail: call.body },
      }));
      return { body: { ...rest, token: made.token, expiresAt: made.expiresAt.toISOString(), note } };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/fleet/adopt',
    permission: 'fleet.write',
    summary:
      "Declare that chargers which report a version without a digest run that published release's image",
    body: z.strictObject({
      product,
      version,
      serials: z.array(serial).min(1).max(10_000).optional().meta({
        description: 'Only these. Named ones may also be expected and silent still.',
      }),
    }),
    answer: z.object({
      adopted: z.number().int(),
      product: z.string(),
      version: z.string(),
      sha256: z.string(),
      leftAlone: z
        .array(
          z.object({
            serial: z.string(),
            because: z.enum(['RETIRED', 'OTHER_VERSION', 'DIGEST_KNOWN', 'OTHER_HARDWARE']),
          }),
        )
        .meta({ description: 'The first 100 that were named, or report the version, and were not adopted.' }),
    }),
    handle: async (call) => ({ body: await adopt(call, call.body) }),
  }),
  defineRoute({
    method: 'post',
    path: '/fleet/:serial/retire',
    permission: 'fleet.write',
    summary: 'Take a charger out of service for good',
    params: z.object({ serial }),
    body: z.strictObject({}),
    answer: z.object({ serial: z.string(), state: z.literal('RETIRED') }),
    handle: async (call) => {
      const name = { organisation: call.operator.organisation, ...call.params };
      await audited(call, async (trx) => {
        const { state } = await retireCharger(trx, name, null, new Date(call.now));
        return {
          value: null,
          audit: { action: 'fleet.retire', subject: name.serial, detail: { was: state } },
        };
      });
      return { body: { serial: name.serial, state: 'RETIRED' as const } };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/fleet/:serial/replace',
    permission: 'fleet.write',
    summary: 'Retire a charger and expect another in its place',
    params: z.object({ serial }),
    body: z.strictObject({ with: serial, hardware: hardware.optional(), hours, newHardware }),
    answer: token,
    status: 201,
    secret: true,
    handle: async (call) => {
      const { organisation } = call.operator;
      const successor = call.body.with;
      const { place, made, note } = await audited(call, async (trx) => {
        const old = await retireCharger(trx, { organisation, ...call.params }, successor, new Date(call.now));
        const place = {
          serial: successor,
          product: old.product,
          hardware: call.body.hardware ?? old.hardware,
          site: old.site,
        };
        const { hours: life, newHardware: isNew } = call.body;
        const isOther = place.hardware !== old.hardware;
        const note = isOther ? await checkHardware(call, place, isNew) : null;
        const times = lifeOf(call, life);
        const made = await expectCharger(trx, { organisation, ...place }, call.operator.name, times);
        const audit = { action: 'fleet.replace', subject: call.params.serial, detail: { ...call.body } };
        return { value: { place, made, note }, audit };
      });
      return { body: { ...place, token: made.token, expiresAt: made.expiresAt.toISOString(), note } };
    },
  }),
];

function lifeOf(call: Pick<Call<unknown, unknown, unknown>, 'now'>, life: number) {
  return { now: new Date(call.now), expiresAt: new Date(call.now + life * HOUR_MS) };
}

/**
 * A charger whose hardware is misspelt would enrol, and then never be offered anything.
 * @returns what could not be checked, in words.
 * @throws ApiError `PRODUCT_UNKNOWN`, `HARDWARE_UNKNOWN`
 */
async function checkHardware(
  call: Pick<Call<unknown, unknown, unknown>, 'deps' | 'operator'>,
  place: { product: string; hardware: string },
  isNew: boolean,
): Promise<string | null> {
  const known = await requireProduct(call.deps.db, call.operator.organisation, place.product);
  if (known.hardware.includes(place.hardware)) return null;
  if (known.hardware.length === 0) {
    return `${place.product} has no release yet that could tell whether ${place.hardware} is right.`;
  }
  if (isNew) return `No release of ${place.product} fits ${place.hardware} yet.`;
  const fits = `${place.product} comes on ${known.hardware.join(', ')}, not on ${place.hardware}.`;
  throw new ApiError('HARDWARE_UNKNOWN', fits, { pointer: '/hardware' });
}
