/** Who attested the build, and with what evidence: Sigstore bundles, keys and identities. Design §3, "Keys" */
import type { Builder, ProductPolicy, ReleaseTarget } from '@tidegate/client-sdk/protocol';
import {
  ISSUER,
  SIGNED_AT,
  TestSigstore,
  withEntries,
  WORKFLOW,
} from '../../client-sdk/trust/testing/keyless.ts';
import { testKey } from '../../client-sdk/trust/testing/keys.ts';
import { keyBundle, statement } from '../../client-sdk/trust/testing/releases.ts';
import { PRODUCT } from '../../client-sdk/trust/testing/repository.ts';
import type { Attack } from './attack.ts';
import type { Scene } from './scene.ts';

const IDENTITY: Builder = {
  kind: 'identity',
  issuer: ISSUER,
  workflow: WORKFLOW,
  ref: 'refs/tags/v*',
  state: 'active',
};
const rfc3339 = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
const AFTER = rfc3339(SIGNED_AT + 60_000);
const BEFORE = rfc3339(SIGNED_AT - 60_000);

function change(scene: Scene, edit: (product: ProductPolicy) => void): void {
  const changed = structuredClone(scene.service.policy);
  const product = changed.products[PRODUCT];
  if (product === undefined) throw new Error('the policy names the product');
  changed.version += 1;
  edit(product);
  scene.service.publishPolicy(changed);
}

/** A private Sigstore, known to targets, and a policy that takes its identities. */
async function keyless(scene: Scene, builder = IDENTITY, logs = 1): Promise<TestSigstore> {
  const sigstore = await TestSigstore.create();
  scene.service.repository.topTargets.set('trust/sigstore_root.json', sigstore.trustedRoot());
  change(scene, (product) => Object.assign(product, { builders: [builder], logs }));
  return sigstore;
}

type Signing = NonNullable<Parameters<TestSigstore['bundle']>[1]>;

/** A certificate that looks like CI's. */
function lookAlike(name: string, by: Signing, builder = IDENTITY): Attack {
  return {
    name: `identity: ${name}`,
    compromised: 'a neighbour of CI, release engineers at threshold',
    expected: { charger: 'stays', code: 'BUILDER_UNKNOWN' },
    async play(scene, attacked) {
      const sigstore = await keyless(scene, builder);
      const bundles = async (target: ReleaseTarget) => [
        await sigstore.bundle(statement(target), attacked ? by : {}),
      ];
      scene.want(await scene.publish({}, { bundles }));
    },
  };
}

export const BUILDERS: Attack[] = [
  lookAlike('another ref', { san: `${WORKFLOW}@refs/heads/main` }),
  lookAlike('a ref that only begins alike', { san: `${WORKFLOW}@refs/tags/x1.2.0` }),
  lookAlike('another repository', {
    san: `${WORKFLOW.replace('acme/firmware', 'acme/firmware-fork')}@refs/tags/v1.2.0`,
  }),
  lookAlike('the workflow as a part of a longer name', {
    san: `https://evil.example/?${WORKFLOW}@refs/tags/v1.2.0`,
  }),
  lookAlike('the workflow as a pattern', { san: `${WORKFLOW.replace('.ci/', 'xci/')}@refs/tags/v1.2.0` }),
  lookAlike('another issuer', { issuer: 'https://token.ci.example.evil' }),
  lookAlike('an issuer with a slash more', { issuer: `${ISSUER}/` }),
  lookAlike('a second @', { san: `${WORKFLOW}@x@refs/tags/v1.2.0` }),
  {
    name: 'identity: a certificate of another authority',
    compromised: 'a Fulcio of the thief, release engineers at threshold',
    expected: { charger: 'stays', code: 'BUNDLE_INVALID' },
    async play(scene, attacked) {
      const ours = await keyless(scene);
      const theirs = await TestSigstore.create();
      const bundles = async (target: ReleaseTarget) => [
        await (attacked ? theirs : ours).bundle(statement(target), { logs: ours.logs.slice(0, 1) }),
      ];
      scene.want(await scene.publish({}, { bundles }));
    },
  },
  {
    name: 'identity: without a log',
    compromised: 'CI identity',
    expected: { charger: 'stays', code: 'EVIDENCE_MISSING' },
    async play(scene, attacked) {
      const sigstore = await keyless(scene, IDENTITY, 0);
      const bundles = async (target: ReleaseTarget) => [
        await sigstore.bundle(statement(target), attacked ? { logs: [] } : {}),
      ];
      scene.want(await scene.publish({}, { bundles }));
    },
  },
  {
    name: 'two entries of one log where two logs are asked for',
    compromised: 'one log, CI identity',
    expected: { charger: 'stays', code: 'EVIDENCE_MISSING' },
    async play(scene, attacked) {
      const sigstore = await keyless(scene, IDENTITY, 2);
      const bundles = async (target: ReleaseTarget) => {
        if (!attacked) return [await sigstore.bundle(statement(target), { logs: [...sigstore.logs] })];
        const raw = JSON.parse((await sigstore.bundle(statement(target))).toString()) as {
          verificationMaterial: { tlogEntries: unknown[] };
          dsseEnvelope: { payload: string; signatures: { sig: string }[] };
        };
        const { payload, signatures } = raw.dsseEnvelope;
        const [log] = sigstore.logs;
        const again = log.entry(
          Buffer.from(payload, 'base64'),
          Buffer.from(signatures[0]?.sig ?? '', 'base64'),
          SIGNED_AT + 1000,
          'again',
        );
        raw.verificationMaterial.tlogEntries.push(again);
        return [Buffer.from(JSON.stringify(raw))];
      };
      scene.want(await scene.publish({}, { bundles }));
    },
  },
  {
    name: 'a bundle stripped of its timestamps',
    compromised: 'the key of a builder, release engineers at threshold',
    expected: { charger: 'stays', code: 'EVIDENCE_MISSING' },
    async play(scene, attacked) {
      const sigstore = await TestSigstore.create();
      scene.service.repository.topTargets.set('trust/sigstore_root.json', sigstore.trustedRoot());
      change(scene, (product) => (product.timestamps = 1));
      const bundles = (target: ReleaseTarget) => {
        const plain = keyBundle(scene.service.builder, statement(target));
        return [attacked ? plain : withEntries(plain, sigstore.logs.slice(0, 1))];
      };
      scene.want(await scene.publish({}, { bundles }));
    },
  },
  ...(
    [
      ['signed after its retirement', { state: 'retired', retiredAt: BEFORE }, SIGNED_AT],
      ['backdated, with a time that nobody vouches for', { state: 'retired', retiredAt: AFTER }, undefined],
      ['compromised, whenever it signed', { state: 'compromised' }, SIGNED_AT],
    ] as const
  ).map(([how, state, at]): Attack => ({
    name: `a builder's key: ${how}`,
    compromised: 'an earlier builder key, release engineers at threshold',
    expected: { charger: 'stays', code: 'BUILDER_REVOKED' },
    async play(scene, attacked) {
      const sigstore = await TestSigstore.create();
      scene.service.repository.topTargets.set('trust/sigstore_root.json', sigstore.trustedRoot());
      change(scene, (product) => {
        const retired = { state: 'retired', retiredAt: AFTER };
        for (const builder of product.builders) Object.assign(builder, attacked ? state : retired);
      });
      const bundles = (target: ReleaseTarget) => {
        const plain = keyBundle(scene.service.builder, statement(target));
        const time = attacked ? at : SIGNED_AT;
        return [time === undefined ? plain : withEntries(plain, sigstore.logs.slice(0, 1), time)];
      };
      scene.want(await scene.publish({}, { bundles }));
    },
  })),
  {
    name: "a builder's key that is compromised while its image is staged",
    compromised: 'a builder key',
    expected: { charger: 'stays', code: 'BUILDER_REVOKED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      scene.charging = true;
      await scene.settle(3);
      if (attacked) {
        change(scene, (product) => {
          for (const builder of product.builders) Object.assign(builder, { state: 'compromised' });
        });
      }
      scene.charging = false;
    },
  },
  {
    name: 're-attested: the first builder is compromised, a second one vouches anew',
    compromised: 'the first builder key',
    expected: { charger: 'installs', because: 'any valid bundle suffices' },
    async play(scene, attacked) {
      const second = testKey('p256');
      change(scene, (product) => {
        const [first] = product.builders;
        if (attacked) Object.assign(first ?? {}, { state: 'compromised' });
        product.builders.push({ kind: 'key', keyId: second.hint, publicKey: second.pem, state: 'active' });
      });
      const bundles = (target: ReleaseTarget) => [
        keyBundle(scene.service.builder, statement(target)),
        keyBundle(second, statement(target)),
      ];
      scene.want(await scene.publish({}, { bundles }));
    },
  },
  ...(
    [
      ['payload type', (target, key) => keyBundle(key, statement(target), 'text/plain')],
      [
        'predicate type',
        (target, key) => keyBundle(key, { ...statement(target), predicateType: 'https://x.example/v1' }),
      ],
      [
        'statement type',
        (target, key) => keyBundle(key, { ...statement(target), _type: 'https://in-toto.io/Statement/v9' }),
      ],
      [
        'subject',
        (target, key) =>
          keyBundle(key, {
            ...statement(target),
            subject: [{ name: 'x', digest: { sha256: 'c'.repeat(64) } }],
          }),
      ],
      [
        'build type',
        (target, key) => {
          const said = statement(target);
          Object.assign(said.predicate.buildDefinition, { buildType: 'https://x.example/build' });
          return keyBundle(key, said);
        },
      ],
      [
        'bundle format',
        (target, key) =>
          Buffer.from(
            keyBundle(key, statement(target)).toString().replace('bundle.v0.3+json', 'bundle.v0.9+json'),
          ),
      ],
    ] satisfies [string, (target: ReleaseTarget, key: ReturnType<typeof testKey>) => Buffer][]
  ).map(([what, forge]): Attack => ({
    name: `an attestation of another ${what}`,
    compromised: 'CI for another purpose, release engineers at threshold',
    expected: { charger: 'stays', code: 'BUNDLE_INVALID' },
    async play(scene, attacked) {
      const { builder } = scene.service;
      const bundles = (target: ReleaseTarget) => [forge(target, builder)];
      scene.want(await scene.publish({}, attacked ? { bundles } : {}));
    },
  })),
  ...(
    [
      ['policy', (scene: Scene) => Object.assign(scene.service.policy, { mustAlso: 'ask somebody' })],
      ['product', (scene: Scene) => change(scene, (product) => Object.assign(product, { critical: true }))],
      [
        'builder',
        (scene: Scene) =>
          change(scene, ({ builders: [first] }) => Object.assign(first ?? {}, { only: 'mondays' })),
      ],
    ] as const
  ).map(([where, add]): Attack => ({
    name: `a field of the ${where} that this charger does not know`,
    compromised: 'nobody: a rule that it cannot keep',
    expected: { charger: 'stays', code: 'POLICY_MALFORMED' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      if (attacked) {
        add(scene);
        scene.service.publishPolicy(scene.service.policy);
      }
      scene.want(await scene.publish({ version: '1.2.0' }));
    },
  })),
];
