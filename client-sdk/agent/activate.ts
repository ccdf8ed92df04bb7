/** From a staged image to its trial boot: never during a session, never without a live confirmation of the service. */
import { Refusal } from '../protocol/index.ts';
import type { Directive, RefusalCode } from '../protocol/index.ts';
import { nonce } from './context.ts';
import type { Context } from './context.ts';
import type { Job } from './state.ts';
import { admit, attested } from './take.ts';
import { reboot } from './trial.ts';

/** No builder vouches for the image any more, as far as the service has bundles to show. Whatever else happens may pass. */
const SAYS_NO: ReadonlySet<string> = new Set<RefusalCode>([
  'BUNDLE_INVALID',
  'BUILDER_UNKNOWN',
  'BUILDER_REVOKED',
  'EVIDENCE_MISSING',
  'STATEMENT_MISMATCH',
  'DENIED',
]);

/**
 * Boots the staged image if nothing speaks against it now. Returns the refusal that leaves it staged, if there is one.
 * @throws Refusal that ends the assignment
 */
export async function activate(context: Context, job: Job): Promise<Refusal | undefined> {
  const { memory, host, trust } = context;
  const { image } = job;
  if (!image || !trust.current) return undefined;
  // Staged may be days ago: denied, withdrawn from the role or below a new emergency floor by now?
  const target = admit(context, trust.current, job);
  if (await host.isCharging()) {
    await memory.apply({ type: 'waiting' });
    return undefined;
  }
  let directive: Directive;
  try {
    // Its builder may be compromised or denied by now.
    await attested(context, trust.current, target);
    directive = await confirm(context, job);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (SAYS_NO.has(error.code)) throw error;
    await memory.apply({ type: 'waiting' });
    return error;
  }
  await memory.apply({ type: 'directive', epoch: directive.epoch, sequence: directive.sequence });
  const mine = directive.assignment === job.assignment;
  if (mine && directive.action === 'withdraw') {
    throw new Refusal('DIRECTIVE_WITHDRAWN', directive.reason ?? 'withdrawn at the confirmation');
  }
  const wanted = mine && directive.action === 'activate' && directive.target?.sha256 === image.sha256;
  // A session that began while the service was asked comes first.
  if (!wanted || (await host.isCharging())) {
    await memory.apply({ type: 'waiting' });
    return undefined;
  }
  const { bootId } = await context.installer.status();
  await context.installer.activate(image);
  await memory.apply({ type: 'activating', bootId });
  await reboot(context);
  return undefined;
}

async function confirm(context: Context, job: Job): Promise<Directive> {
  const fresh = nonce(context);
  try {
    const answer = await context.transport.confirm({
      nonce: fresh,
      assignment: job.assignment,
      sha256: job.target.sha256,
    });
    return await context.listener.hearConfirmation(answer.directive, fresh, context.memory.state.last);
  } catch (error) {
    const silent = error instanceof Refusal && error.code.startsWith('SERVICE_');
    if (!silent) throw error;
    throw new Refusal('DIRECTIVE_UNCONFIRMED', `${job.assignment}: ${error.message}`, { cause: error });
  }
}
