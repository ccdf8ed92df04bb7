import { type Request, Router } from 'express';
import { type CheckInAnswer, LIMITS } from '@tidegate/client-sdk/protocol';
import { ApiError, parseFields, readJson, requestSource } from '../http/index.ts';
import { type ChargerIdentity, identifyCharger } from '../identity/index.ts';
import { Attempts } from './attempts.ts';
import type { Visit } from './check-in/batch.ts';
import { requireNotBehind } from './behind.ts';
import { checkInBatch } from './check-in/check-in.ts';
import { confirmActivation } from './confirm.ts';
import { type DeviceDeps, deviceConfig } from './deps.ts';
import { enrol } from './enrol.ts';
import { GroupCommit } from './group-commit.ts';
import { Ringer } from './ringer.ts';
import { checkInSchema, confirmSchema, enrolSchema } from './schemas.ts';
import { sendMetadata, sendTarget } from './tuf-files.ts';

/** Longest body of an enrolment or a confirmation, in bytes. */
const SMALL_BODY = 16 * 1024;

/** What chargers call; `client-sdk/protocol/device-api.ts` is the contract. Everything but enrolment needs the charger's certificate. */
export function deviceRouter(deps: DeviceDeps): Router {
  const config = deviceConfig(deps);
  const ringer = new Ringer(deps.doorbell, config.ringEveryMs, deps.report);
  const attempts = new Attempts(deps.wall, config.enrolFailuresPerMinute);
  const checkIns = new GroupCommit<Visit, CheckInAnswer>(async (visits) => {
    const { outcomes, changed, unconfirmed, ahead } = await checkInBatch(deps, visits);
    ringer.ring(changed);
    for (const claim of unconfirmed)
      deps.log?.warn(claim, 'A charger says that it runs a release that was not confirmed to it.');
    for (const claim of ahead)
      deps.log?.warn(claim, 'A charger says that it trusts newer metadata than this service has.');
    return outcomes;
  }, config);

  const router = Router();
  router.post('/device/v1/enrol', async (request, response) => {
    const source = requestSource(request);
    attempts.requireFew(source);
    try {
      await readJson(request, SMALL_BODY);
      response.json(await enrol(deps, parseFields(enrolSchema, request.body), source));
    } catch (error) {
      if (error instanceof ApiError) attempts.failed(source);
      throw error;
    }
  });
  router.post('/device/v1/check-in', async (request, response) => {
    const charger = await identify(deps, request);
    await readJson(request, LIMITS.checkInBody);
    const outcome = await checkIns.submit({ charger, body: parseFields(checkInSchema, request.body) });
    if (!outcome.ok) throw outcome.error;
    response.json(outcome.value);
  });
  router.post('/device/v1/confirm', async (request, response) => {
    const charger = await identify(deps, request);
    await readJson(request, SMALL_BODY);
    const { answer, changed } = await confirmActivation(
      deps,
      charger,
      parseFields(confirmSchema, request.body),
    );
    ringer.ring(changed);
    response.json(answer);
  });
  router.get('/tuf/metadata/:file', async (request, response) => {
    await identify(deps, request);
    await requireNotBehind(deps.db, deps.organisation, deps.clock.now());
    await sendMetadata(deps, request.params.file, response);
  });
  router.get('/tuf/targets/:folder/:file', async (request, response) => {
    await identify(deps, request);
    await requireNotBehind(deps.db, deps.organisation, deps.clock.now());
    await sendTarget(deps.blobs, request.params.folder, request.params.file, response);
  });
  return router;
}

/** Before anything of the body is read: who has no certificate costs nothing. */
async function identify(deps: DeviceDeps, request: Request): Promise<ChargerIdentity> {
  const charger = await identifyCharger(deps.db, request);
  if (charger.organisation !== deps.organisation) {
    throw new ApiError('CHARGER_UNKNOWN', 'The certificate belongs to no charger.');
  }
  return charger;
}
