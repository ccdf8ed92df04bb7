/**
 * What is fuzzed. Each target changes some bytes and gives them to the SDK's own code. What must come out is a refusal of the closed set, or
 * what comes out of the bytes unchanged. Where the attacker signs anew what he changed, acceptance may also be of something else that his keys
 * are allowed to say: then the invariants of what was accepted are looked at instead.
 */
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { CHECK_IN_ANSWER, shaped } from '@tidegate/client-sdk/agent/answers';
import { freshState, readState } from '@tidegate/client-sdk/agent/memory';
import { Agent, type Transport } from '@tidegate/client-sdk/agent';
import { parseBootRecord } from '@tidegate/client-sdk/install/boot-record';
import {
  compareVersions,
  DIRECTIVE_PAYLOAD_TYPE,
  preAuthEncoding,
  Refusal,
  REFUSALS,
  type CheckInAnswer,
  type Directive,
  type ReleaseTarget,
} from '@tidegate/client-sdk/protocol';
import { FACTORY, identityOf, someImage, TestCharger } from '../../client-sdk/agent/testing/charger.ts';
import { TestService, testClock } from '../../client-sdk/agent/testing/service.ts';
import { verifyBundle } from '../../client-sdk/trust/bundle.ts';
import { parseCustom } from '../../client-sdk/trust/custom.ts';
import { verifyDirective } from '../../client-sdk/trust/directive.ts';
import { decideInstall } from '../../client-sdk/trust/install-rules.ts';
import { marksFromBytes, marksToBytes } from '../../client-sdk/trust/marks.ts';
import { parsePolicy } from '../../client-sdk/trust/policy.ts';
import { verifyRelease } from '../../client-sdk/trust/release.ts';
import { readStatement } from '../../client-sdk/trust/statement.ts';
import { testKey } from '../../client-sdk/trust/testing/keys.ts';
import { TestSigstore, ISSUER, WORKFLOW } from '../../client-sdk/trust/testing/keyless.ts';
import { memoryFiles } from '../../client-sdk/trust/testing/memory-files.ts';
import {
  keyBundle,
  policy,
  release,
  statement,
  withBundles,
} from '../../client-sdk/trust/testing/releases.ts';
import { inDays, NOW, PRODUCT, signed, TestRepository } from '../../client-sdk/trust/testing/repository.ts';
import { TrustedSet } from '../../client-sdk/trust/trusted-set.ts';
import { mutate, mutateValue, mutation } from './mutations.ts';

export interface FuzzTarget {
  name: string;
  /** Share of all cases. */
  weight: number;
  property: fc.IRawProperty<unknown>;
}

/** What was accepted; undefined after a refusal. Anything else that is thrown fails the case. */
function outcome<T>(check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    mustBeRefusal(error);
    return undefined;
  }
}

function mustBeRefusal(error: unknown): void {
  if (error instanceof Refusal && Object.hasOwn(REFUSALS, error.code)) return;
  throw new Error(`no refusal: ${String(error)}`, { cause: error });
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Changed bytes are refused, or accepted as what they were. */
function unmodified(bytes: Buffer, check: (changed: Buffer) => unknown): fc.IRawProperty<unknown> {
  const right = check(bytes);
  must(right !== undefined, 'the unchanged bytes are accepted');
  const several = fc.array(mutation, { minLength: 1, maxLength: 3 });
  return fc.property(several, (changes) => {
    const changed = changes.reduce<Buffer>(
      (all, change) => (isJson(all) || BYTES.has(change.kind) ? mutate(nonEmpty(all), change) : all),
      bytes,
    );
    const accepted = outcome(() => check(changed));
    must(accepted === undefined || isDeepStrictEqual(accepted, right), 'accepted as something else');
  });
}

const BYTES: ReadonlySet<string> = new Set(['flip', 'cut', 'insert', 'splice']);
const nonEmpty = (bytes: Buffer): Buffer => (bytes.length === 0 ? Buffer.from('{}') : bytes);

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString());
    return true;
  } catch {
    return false;
  }
}

/** @param seed of the keyless certificates' making only; keys are new for each run, as for every charger. */
export async function fuzzTargets(): Promise<FuzzTarget[]> {
  return [
    ...metadata(),
    ...attestations(await TestSigstore.create()),
    ...directives(),
    ...shapes(),
    ...whole(),
  ];
}

function metadata(): FuzzTarget[] {
  const repository = new TestRepository().publish();
  const { keys } = repository;
  const file = (path: string) => repository.file(`metadata/${path}`);
  const upTo = (role: 'root' | 'timestamp' | 'snapshot' | 'targets') => {
    const set = TrustedSet.start(file('1.root.json'));
    if (role === 'root') return set;
    set.updateTimestamp(file('timestamp.json'), NOW);
    if (role === 'timestamp') return set;
    set.updateSnapshot(file('1.snapshot.json'), NOW);
    if (role === 'snapshot') return set;
    set.updateTargets(file('1.targets.json'), NOW);
    return set;
  };
  const body = (path: string): Record<string, unknown> =>
    (JSON.parse(file(path).toString()) as { signed: Record<string, unknown> }).signed;
  /** The thief holds the role's keys and signs whatever he likes. */
  const resigned = (
    name: string,
    path: string,
    signers: Parameters<typeof signed>[1],
    check: (bytes: Buffer) => void,
  ): FuzzTarget => ({
    name: `${name}, signed anew`,
    weight: 1,
    property: fc.property(fc.array(mutation, { minLength: 1, maxLength: 2 }), (changes) => {
      const changed = changes.reduce<unknown>((all, change) => mutateValue(all, change), body(path));
      let bytes: Buffer;
      try {
        bytes = signed(changed as object, signers);
      } catch {
        return;
      }
      outcome(() => check(bytes));
    }),
  });
  return [
    { name: 'root', weight: 1, property: unmodified(file('1.root.json'), (b) => TrustedSet.start(b).root) },
    {
      name: 'timestamp',
      weight: 1,
      property: unmodified(file('timestamp.json'), (b) => upTo('root').updateTimestamp(b, NOW)),
    },
    {
      name: 'snapshot',
      weight: 1,
      property: unmodified(file('1.snapshot.json'), (b) => upTo('timestamp').updateSnapshot(b, NOW)),
    },
    {
      name: 'targets',
      weight: 1,
      property: unmodified(file('1.targets.json'), (b) => upTo('snapshot').updateTargets(b, NOW)),
    },
    {
      name: 'product role',
      weight: 1,
      property: unmodified(file(`1.${PRODUCT}.json`), (b) =>
        upTo('targets').updateProductRole(PRODUCT, b, NOW),
      ),
    },
    resigned('root', '1.root.json', keys.root, (bytes) => {
      const { root } = TrustedSet.start(bytes);
      must(root.roles.root.threshold >= 1 && root.version >= 1, 'a root without a threshold');
    }),
    resigned('timestamp', 'timestamp.json', keys.timestamp, (bytes) => {
      const accepted = upTo('root').updateTimestamp(bytes, NOW);
      must(accepted.expires > NOW && accepted.version >= 1, 'an expired timestamp');
    }),
    resigned('targets', '1.targets.json', keys.targets, (bytes) => {
      const set = upTo('snapshot');
      must(set.updateTargets(bytes, NOW).version === 1, 'another version than the snapshot says');
      must(outcome(() => set.updateProductRole(PRODUCT, file(`1.${PRODUCT}.json`), NOW)) !== null, '');
    }),
    resigned('product role', `1.${PRODUCT}.json`, keys.product, (bytes) => {
      const role = upTo('targets').updateProductRole(PRODUCT, bytes, NOW);
      must((role.delegations?.roles.length ?? 0) === 0, 'the role hands its right on');
    }),
  ];
}

function attestations(sigstore: TestSigstore): FuzzTarget[] {
  const builder = testKey('p256');
  const director = testKey();
  const trusted = policy(builder, director);
  const sigstoreRoot = sigstore.trustedRoot();
  const { sha256 } = release();
  const identity = {
    kind: 'identity',
    issuer: ISSUER,
    workflow: WORKFLOW,
    ref: 'refs/tags/*',
    state: 'active',
  };
  const keyless = structuredClone(trusted);
  Object.assign(keyless.products[PRODUCT] ?? {}, { builders: [identity], logs: 1 });
  const verify = (bundle: Buffer, by = trusted) =>
    verifyBundle({ bundle, sha256, policy: by, product: PRODUCT, sigstoreRoot });
  const said = statement();
  const input = (custom: ReleaseTarget['custom'], bundle: Buffer) => {
    const target = withBundles({ ...release(), custom }, [bundle]);
    return { target, bundles: [bundle], product: PRODUCT, policy: trusted, sigstoreRoot };
  };
  return [
    { name: 'bundle by a key', weight: 2, property: unmodified(keyBundle(builder, said), (b) => verify(b)) },
    {
      name: 'bundle by an identity',
      weight: 1,
      property: keylessProperty(sigstore, (b) => verify(b, keyless)),
    },
    {
      name: 'Sigstore root',
      weight: 1,
      property: fc.property(mutation, (change) => {
        const changed = mutate(sigstoreRoot, change);
        const bundle = keyBundle(builder, said);
        outcome(() =>
          verifyBundle({ bundle, sha256, policy: trusted, product: PRODUCT, sigstoreRoot: changed }),
        );
      }),
    },
    {
      name: 'statement, attested anew',
      weight: 2,
      property: fc.property(fc.array(mutation, { minLength: 1, maxLength: 2 }), (changes) => {
        const changed = changes.reduce<unknown>((all, change) => mutateValue(all, change), said);
        const { custom } = release();
        const verified = outcome(() => verifyRelease(input(custom, keyBundle(builder, changed))));
        if (verified === undefined) return;
        const { externalParameters } = verified.statement.predicate.buildDefinition;
        must(verified.statement.subject[0]?.digest.sha256 === sha256, 'a statement about another image');
        must(externalParameters.securityVersion === custom.securityVersion, 'another security version');
        must(externalParameters.version === custom.version, 'another version');
      }),
    },
    {
      name: 'statement',
      weight: 1,
      property: unmodifiedShape(Buffer.from(JSON.stringify(said)), (b) => readStatement(b, sha256)),
    },
    {
      name: 'custom, signed anew',
      weight: 2,
      property: fc.property(fc.array(mutation, { minLength: 1, maxLength: 2 }), (changes) => {
        const { custom } = release();
        const changed = changes.reduce<unknown>((all, change) => mutateValue(all, change), custom);
        const parsed = outcome(() => parseCustom(changed));
        if (parsed === undefined) return;
        const committed = { sha256: null, version: '1.0.0', securityVersion: 1 };
        const state = { committed, floor: 2, fallbackOfInstalled: [], fellBackFrom: [] };
        const target = { ...release(), custom: parsed };
        const charger = { product: PRODUCT, hardware: 'dc150-r2' };
        const allowed = outcome(() => {
          decideInstall({ target, charger, state, policy: trusted, now: NOW });
          return verifyRelease(input(parsed, keyBundle(builder, said)));
        });
        if (allowed === undefined) return;
        must(parsed.product === PRODUCT && parsed.hardware.includes('dc150-r2'), 'for somebody else');
        must(parsed.securityVersion >= 2 && parsed.securityVersion <= 10, 'out of bounds');
        must(compareVersions(parsed.version, committed.version) > 0, 'a downgrade');
      }),
    },
    {
      name: 'policy, signed anew',
      weight: 2,
      property: fc.property(fc.array(mutation, { minLength: 1, maxLength: 2 }), (changes) => {
        const bytes = Buffer.from(JSON.stringify(trusted));
        const changed = changes.reduce<Buffer>(
          (all, change) => (isJson(all) ? mutate(all, change) : all),
          bytes,
        );
        const parsed = outcome(() => parsePolicy(changed));
        if (parsed === undefined) return;
        outcome(() =>
          verifyRelease({ ...input(release().custom, keyBundle(builder, said)), policy: parsed }),
        );
      }),
    },
  ];
}

function keylessProperty(sigstore: TestSigstore, check: (b: Buffer) => unknown): fc.IRawProperty<unknown> {
  let made: Promise<{ bytes: Buffer; right: unknown }> | undefined;
  return fc.asyncProperty(mutation, async (change) => {
    made ??= sigstore.bundle(statement()).then((bytes) => ({ bytes, right: check(bytes) }));
    const { bytes, right } = await made;
    const accepted = outcome(() => check(mutate(bytes, change)));
    must(accepted === undefined || isDeepStrictEqual(accepted, right), 'accepted as something else');
  });
}

/** What is not signed by itself: it only must not crash. */
function unmodifiedShape(bytes: Buffer, check: (changed: Buffer) => unknown): fc.IRawProperty<unknown> {
  must(check(bytes) !== undefined, 'the unchanged bytes are accepted');
  return fc.property(mutation, (change) => {
    outcome(() => check(mutate(bytes, change)));
  });
}

function directives(): FuzzTarget[] {
  const director = testKey();
  const trusted = policy(testKey('p256'), director);
  const nonce = 'n0nce-n0nce-n0nce';
  const { path, sha256, length, custom } = release();
  const said: Directive = {
    _type: 'tidegate-directive',
    organisation: 'acme',
    serial: 'SN-0001',
    nonce,
    epoch: 2,
    sequence: 7,
    issuedAt: inDays(0),
    expires: inDays(0.5),
    action: 'install',
    assignment: 'a-1',
    target: { path, sha256, length, version: custom.version },
  };
  const envelopeOf = (value: unknown) => {
    const payload = Buffer.from(JSON.stringify(value));
    const sig = director.sign(preAuthEncoding(DIRECTIVE_PAYLOAD_TYPE, payload)).toString('base64');
    return {
      payloadType: DIRECTIVE_PAYLOAD_TYPE,
      payload: payload.toString('base64'),
      signatures: [{ keyid: director.id, sig }],
    };
  };
  const last = { epoch: 2, sequence: 6 };
  const context = { policy: trusted, organisation: 'acme', serial: 'SN-0001', nonce, now: NOW, last };
  const parsed = (bytes: Buffer): unknown => {
    try {
      return JSON.parse(bytes.toString()) as unknown;
    } catch {
      return bytes;
    }
  };
  return [
    {
      name: 'directive',
      weight: 2,
      property: unmodified(Buffer.from(JSON.stringify(envelopeOf(said))), (bytes) =>
        verifyDirective(parsed(bytes), context),
      ),
    },
    {
      name: 'directive, signed anew',
      weight: 2,
      property: fc.property(fc.array(mutation, { minLength: 1, maxLength: 2 }), (changes) => {
        const changed = changes.reduce<unknown>((all, change) => mutateValue(all, change), said);
        const accepted = outcome(() => verifyDirective(envelopeOf(changed), context));
        if (accepted === undefined) return;
        must(accepted.serial === 'SN-0001' && accepted.nonce === nonce, 'for another charger or request');
        must(accepted.epoch === 2 && accepted.sequence > 6, 'an older number');
        must(Date.parse(accepted.expires) > NOW, 'expired');
      }),
    },
  ];
}

/** Files of the charger's own, and answers that nobody signed: torn, or altered by whoever can. */
function shapes(): FuzzTarget[] {
  const marks = {
    root: { version: 3, keys: 'a'.repeat(64) },
    timestamp: { version: 9, keys: 'b'.repeat(64) },
  };
  const state = { ...freshState(FACTORY, 1), last: { epoch: 2, sequence: 9 } };
  const boot = {
    format: 1,
    boots: 3,
    booted: 'a',
    primary: 'a',
    trial: null,
    slots: { a: { ...FACTORY, whole: true, bootable: true }, b: null },
  };
  const answer = { directive: {}, timestamp: '{}', rootVersion: 1, acknowledged: 0, pollAfter: 900 };
  return [
    {
      name: 'marks',
      weight: 1,
      // A checksum vouches for them, so a change is seen.
      property: unmodified(marksToBytes(marks), (bytes) => {
        const read = marksFromBytes(bytes);
        if (read === undefined) throw new Refusal('STATE_CORRUPT', 'torn');
        return structuredClone({ ...read });
      }),
    },
    {
      name: 'agent.json',
      weight: 1,
      property: fc.asyncProperty(mutation, async (change) => {
        const bytes = mutate(Buffer.from(JSON.stringify(state)), change);
        await readState(memoryFiles([['agent.json', bytes]])).catch(mustBeRefusal);
      }),
    },
    {
      name: 'boot.json',
      weight: 1,
      property: unmodifiedShape(Buffer.from(JSON.stringify(boot)), (bytes) => parseBootRecord(bytes)),
    },
    {
      name: 'answer to a check-in',
      weight: 1,
      property: unmodifiedShape(Buffer.from(JSON.stringify(answer)), (bytes) =>
        shaped('/check-in', bytes, CHECK_IN_ANSWER),
      ),
    },
  ];
}

/** A whole agent on altered files or with altered answers: it never throws anything, and never runs what nobody signed. */
function whole(): FuzzTarget[] {
  const property = fc.asyncProperty(
    fc.constantFrom(
      'answer',
      'agent.json',
      'trust/marks.json',
      'trust/time.json',
      'health.json',
      'tuf/timestamp.json',
    ),
    mutation,
    async (where, change) => {
      const service = new TestService(testClock());
      const files = memoryFiles();
      const charger = await TestCharger.provision(files, service);
      const target = service.publish(someImage(), { version: '1.2.0' });
      charger.charging = true;
      service.wanted = { assignment: 'a', target };
      await charger.agent.checkInOnce();
      charger.charging = false;
      charger.kill();
      const { transport, ...deps } = charger.deps();
      const kept = files.contents.get(where);
      if (kept !== undefined) files.contents.set(where, mutate(kept, change));
      const agent = new Agent({
        ...deps,
        transport: where === 'answer' ? altering(transport, change) : transport,
      });
      for (let pass = 0; pass < 3; pass++) {
        for (const refusal of (await agent.checkInOnce()).refusals) mustBeRefusal(refusal);
      }
      const { booted } = await deps.installer.status();
      const digest = booted.image?.sha256 ?? null;
      must(digest === null || digest === target.sha256, 'it runs something else');
      must(identityOf(service).securityFloor <= (await agent.state()).floor, 'the floor sank');
    },
  );
  return [{ name: 'a whole agent', weight: 1, property }];
}

function altering(transport: Transport, change: Parameters<typeof mutate>[1]): Transport {
  return {
    ...transport,
    async checkIn(body, signal) {
      const answer = await transport.checkIn(body, signal);
      const bytes = mutate(Buffer.from(JSON.stringify(answer)), change);
      return shaped('/check-in', bytes, CHECK_IN_ANSWER) as CheckInAnswer;
    },
  };
}
