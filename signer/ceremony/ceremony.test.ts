/** Single changes, single signatures, and what is said of them. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Builder, Refusal } from '@tidegate/client-sdk/protocol';
import { hintOf, type PublicKey } from '../keys/index.ts';
import { applyChanges } from './changes.ts';
import { differencesOf } from './differences.ts';
import {
  type Authority,
  authorityOf,
  type CeremonyFile,
  type Change,
  checkCeremony,
  describeCeremony,
  finishCeremony,
  startCeremony,
} from './index.ts';
import { NOW, PRODUCT, World } from './world.fixture.ts';

let world: World;
beforeAll(async () => {
  world = await World.open();
});

const DIGEST = '1'.repeat(64);
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
  return 'none';
};
const documentsIn = ({ after }: CeremonyFile) => [
  ...(after.root === undefined ? [] : ['root']),
  ...(after.targets === undefined ? [] : ['targets']),
  ...Object.keys(after.products),
];

describe('what has to be signed', () => {
  it.each<[string, Change[], string[]]>([
    ['a rule', [{ kind: 'set', product: PRODUCT, field: 'emergency-floor', value: 3 }], ['targets']],
    ['a denied image', [{ kind: 'deny', list: 'digests', entry: DIGEST }], ['targets']],
    ['the threshold of root', [{ kind: 'threshold', role: 'root', threshold: 3 }], ['root']],
    ['a lower threshold of a product', [{ kind: 'threshold', role: PRODUCT, threshold: 1 }], ['targets']],
    [
      'the removal of a person from root',
      [{ kind: 'remove-person', person: 'cat', roles: ['root'] }],
      ['root'],
    ],
    ['the removal of a product', [{ kind: 'remove-product', product: PRODUCT }], ['targets']],
  ])('%s', (_, changes, documents) => {
    expect(documentsIn(world.start(changes))).toEqual(documents);
  });

  it('takes a product to people who have signed it, and targets to those whom the new root names', async () => {
    const dan = world.holder('dan');
    const eve = world.holder('eve');
    const change = (roles: string[]): Change[] => [
      { kind: 'add-person', holder: dan, roles },
      { kind: 'add-person', holder: eve, roles },
      { kind: 'remove-person', person: 'ann', roles },
      { kind: 'remove-person', person: 'ben', roles },
    ];
    expect(documentsIn(world.start(change([PRODUCT])))).toEqual(['targets', PRODUCT]);
    expect(documentsIn(world.start(change(['targets'])))).toEqual(['root', 'targets']);
  });

  it('renews dates alone, with the same words for everybody', () => {
    const file = world.start([], 'all');
    expect(documentsIn(file)).toEqual(['root', 'targets', PRODUCT]);
    const checked = checkCeremony(file, world.state, NOW);
    expect(checked.differences).toEqual([]);
    expect(describeCeremony(checked, NOW).join()).toContain('nothing but the dates');
    expect(documentsIn(world.start([], [PRODUCT]))).toEqual([PRODUCT]);
  });
});

describe('changes that are refused', () => {
  it.each<[string, () => Change[], string]>([
    ['nothing', () => [], 'NOTHING_CHANGES'],
    ['a stranger leaves', () => [{ kind: 'remove-person', person: 'eve' }], 'PERSON_UNKNOWN'],
    [
      'ann is not in this role',
      () => [{ kind: 'remove-person', person: 'ann', roles: ['x.y'] }],
      'ROLE_UNKNOWN',
    ],
    [
      'too few are left',
      () => ['ann', 'ben'].map((person) => ({ kind: 'remove-person', person })),
      'THRESHOLD_UNREACHABLE',
    ],
    [
      'a threshold of nobody',
      () => [{ kind: 'threshold', role: 'root', threshold: 0 }],
      'THRESHOLD_UNREACHABLE',
    ],
    [
      'a threshold for the service',
      () => [{ kind: 'threshold', role: 'snapshot', threshold: 2 }],
      'THRESHOLD_UNREACHABLE',
    ],
    [
      'a second key for ann',
      () => [{ kind: 'add-person', holder: world.holder('ann'), roles: ['root'] }],
      'PERSON_TWICE',
    ],
    [
      "ben's key as dan's",
      () => [{ kind: 'add-person', holder: { name: 'dan', key: world.keyOf('ben') }, roles: ['root'] }],
      'KEY_TWICE',
    ],
    [
      "the service's director key as a person's",
      () => [{ kind: 'add-person', holder: { name: 'service', key: world.director }, roles: ['targets'] }],
      'KEY_TWICE',
    ],
    [
      "the service's snapshot key as a person's",
      () => [{ kind: 'add-person', holder: { name: 'service', key: world.snapshot }, roles: ['root'] }],
      'KEY_TWICE',
    ],
    [
      "an engineer's key as the build's",
      () => [{ kind: 'add-builder', product: PRODUCT, builder: buildKey(world.keyOf('ben')) }],
      'KEY_TWICE',
    ],
    [
      "the service's director key as the build's",
      () => [{ kind: 'add-builder', product: PRODUCT, builder: buildKey(world.director) }],
      'KEY_TWICE',
    ],
    [
      "the build's key as a person's",
      () => [{ kind: 'add-person', holder: { name: 'dan', key: world.build }, roles: ['root'] }],
      'KEY_TWICE',
    ],
    [
      'the same key again',
      () => [{ kind: 'replace-key', holder: { name: 'ann', key: world.keyOf('ben') } }],
      'KEY_TWICE',
    ],
    [
      'a person in a role of the service',
      () => [{ kind: 'add-person', holder: world.holder('dan'), roles: ['snapshot'] }],
      'ROLE_UNKNOWN',
    ],
    [
      'the last snapshot key',
      () => [{ kind: 'remove-online-key', role: 'snapshot', keyId: world.snapshot.keyId }],
      'THRESHOLD_UNREACHABLE',
    ],
    [
      'the last director',
      () => [{ kind: 'retire-director', keyId: world.director.keyId }],
      'DIRECTOR_MISSING',
    ],
    ['a former director', () => [{ kind: 'stolen-director', key: world.director }], 'KEY_TWICE'],
    [
      'an unknown product',
      () => [{ kind: 'set', product: 'acme.x', field: 'logs', value: 1 }],
      'PRODUCT_UNKNOWN',
    ],
    [
      'an unknown field',
      () => [{ kind: 'set', product: PRODUCT, field: 'builders', value: 1 }],
      'FIELD_UNKNOWN',
    ],
    [
      'an unknown builder',
      () => [{ kind: 'compromised-builder', product: PRODUCT, builder: 'f'.repeat(64) }],
      'BUILDER_UNKNOWN',
    ],
    [
      'the product that is there',
      () => [{ kind: 'add-product', product: PRODUCT, holders: [], threshold: 1, policy: world.policy() }],
      'PRODUCT_EXISTS',
    ],
    ['what is not denied', () => [{ kind: 'allow', list: 'digests', entry: DIGEST }], 'ENTRY_UNKNOWN'],
  ])('%s', (_, changes, code) => {
    expect(codeOf(() => world.start(changes()))).toBe(code);
  });

  it('a beginning that several keys share', () => {
    const ids = ['1', '2'].map((end) => `${'a'.repeat(63)}${end}`);
    const authority = authorityOf(world.state);
    const shared: Authority = {
      ...authority,
      roles: new Map([...authority.roles, ['root', { keyids: ids, threshold: 1 }]]),
      policy: {
        ...authority.policy,
        directors: {
          acme: { epoch: 1, keys: ids.map((keyId) => ({ keyId, publicKey: '', state: 'active' })) },
        },
        products: {
          [PRODUCT]: {
            ...world.policy(),
            builders: ids.map((keyId) => ({ kind: 'key', keyId, publicKey: '', state: 'active' })),
          },
        },
      },
    };
    const beginning = 'a'.repeat(8);
    const changes: Change[] = [
      { kind: 'remove-person', person: beginning },
      { kind: 'replace-key', holder: { name: beginning, key: world.key() } },
      { kind: 'retire-director', keyId: beginning },
      { kind: 'compromised-builder', product: PRODUCT, builder: beginning },
    ];
    for (const change of changes) expect(codeOf(() => applyChanges(shared, [change]))).toBe('KEY_AMBIGUOUS');
  });

  it('too few digits of a key id, or none', () => {
    for (const keyId of ['', world.director.keyId.slice(0, 7)]) {
      expect(codeOf(() => world.start([{ kind: 'retire-director', keyId }]))).toBe('PERSON_UNKNOWN');
    }
  });

  it('a product that was there before', () => {
    const product = 'acme.old';
    const holders = [{ name: 'ann', key: world.keyOf('ann') }];
    const changes: Change[] = [
      { kind: 'add-product', product, holders, threshold: 1, policy: world.policy() },
    ];
    expect(codeOf(() => world.start(changes))).toBe('none');
    const wish = { changes, renew: [], reason: '', used: [product] };
    expect(codeOf(() => startCeremony(world.state, wish, NOW))).toBe('PRODUCT_RETIRED');
  });
});

describe('signatures', () => {
  const finishes = (file: CeremonyFile) =>
    codeOf(() => finishCeremony(checkCeremony(file, world.state, NOW)));
  const removal = () => world.start([{ kind: 'remove-person', person: 'cat' }]);

  it('are all needed, of the old holders and of the new', async () => {
    const [ann, ben, cat] = ['ann', 'ben', 'cat'].map((name) => world.keyOf(name));
    const file = removal();
    expect(finishes(file)).toBe('SIGNATURE_MISSING');
    // Cat is of the old holders, and not of the new.
    expect(finishes(await world.sign(file, ann!, cat!))).toBe('SIGNATURE_MISSING');
    expect(finishes(await world.sign(file, ann!, ben!))).toBe('none');
  });

  it('name who is missing', async () => {
    const file = await world.sign(removal(), world.keyOf('ann'));
    const checked = checkCeremony(file, world.state, NOW);
    expect(() => finishCeremony(checked)).toThrow(
      /root lacks 1 of ben, cat; root lacks 1 of ben; targets lacks 1 of ben/,
    );
  });

  it('are refused by a key without a part, and a second time', async () => {
    const file = removal();
    await expect(world.sign(file, world.key())).rejects.toMatchObject({ code: 'KEY_HAS_NO_PART' });
    const ann = world.keyOf('ann');
    await expect(world.sign(file, ann, ann)).rejects.toMatchObject({ code: 'ALREADY_SIGNED' });
  });

  it.each([
    [
      'wrong',
      'SIGNATURE_WRONG',
      (sigs: Sigs) => sigs.map((one) => ({ ...one, sig: `00${one.sig.slice(2)}` })),
    ],
    ['double', 'SIGNATURE_DOUBLE', (sigs: Sigs) => [...sigs, ...sigs]],
    ['a stranger', 'SIGNATURE_STRANGER', (sigs: Sigs) => [...sigs, { keyid: 'e'.repeat(64), sig: 'ee' }]],
  ])('that are %s are named, with what to do', async (_, code, edit) => {
    const file = await world.sign(removal(), world.keyOf('ann'), world.keyOf('ben'));
    const { root } = file.after;
    const faulty = {
      ...file,
      after: { ...file.after, root: { ...root!, signatures: edit(root!.signatures) } },
    };
    const checked = checkCeremony(faulty, world.state, NOW);
    expect(checked.complete).toBe(false);
    expect(checked.documents[0]?.faults[0]).toMatchObject({ code });
    expect(describeCeremony(checked, NOW).join('\n')).toContain(`${code}: `);
    expect(finishes(faulty)).toBe(code);
  });

  it.each([
    ['wrong', (sigs: Sigs) => sigs.map((one) => ({ ...one, sig: `00${one.sig.slice(2)}` }))],
    ['double', (sigs: Sigs) => [...sigs, ...sigs]],
  ])('that are %s are replaced when the same person signs again', async (_, edit) => {
    const ann = world.keyOf('ann');
    const file = await world.sign(removal(), ann);
    const { root } = file.after;
    const faulty = {
      ...file,
      after: { ...file.after, root: { ...root!, signatures: edit(root!.signatures) } },
    };
    const again = await world.sign(faulty, ann);
    expect(again.after.root?.signatures).toEqual(root?.signatures);
    expect(finishes(await world.sign(again, world.keyOf('ben')))).toBe('none');
  });
});

describe('what is said', () => {
  it('of a retired builder whose builds carry no timestamps', () => {
    const change: Change = {
      kind: 'retire-builder',
      product: PRODUCT,
      builder: builderOf(world),
      at: '2026-11-01T00:00:00Z',
    };
    const timed: Change = { kind: 'set', product: PRODUCT, field: 'timestamps', value: 1 };
    const lines = (changes: Change[]) =>
      describeCeremony(checkCeremony(world.start(changes), world.state, NOW), NOW).join('\n');
    expect(lines([change])).toMatch(/careful: .*no timestamps.*tidegate reattest/);
    expect(lines([change, timed])).not.toContain('no timestamps');
    expect(lines([timed])).not.toContain('no timestamps');
  });

  const says = (changes: Change[]) => checkCeremony(world.start(changes), world.state, NOW).differences;

  it.each<[string, () => Change[], RegExp]>([
    [
      'a floor',
      () => [{ kind: 'set', product: PRODUCT, field: 'emergency-floor', value: 3 }],
      /lowest security version that is still installed: 0 → 3/,
    ],
    [
      'a stolen director',
      () => [{ kind: 'stolen-director', key: world.key() }],
      /compromised[\s\S]*epoch 1 → 2/,
    ],
    ['a further director', () => [{ kind: 'add-director', key: world.key() }], /may tell chargers when/],
    [
      'a retired builder',
      () => [
        { kind: 'retire-builder', product: PRODUCT, builder: builderOf(world), at: '2026-11-01T00:00:00Z' },
      ],
      /retired: only what carries a trusted timestamp before 2026-11-01T00:00:00Z/,
    ],
    [
      'a denied signer',
      () => [{ kind: 'deny', list: 'signers', entry: DIGEST }],
      /whatever was built by 1{64} is refused/,
    ],
    ['a removed product', () => [{ kind: 'remove-product', product: PRODUCT }], /its chargers get no update/],
    [
      'a threshold',
      () => [{ kind: 'threshold', role: 'targets', threshold: 3 }],
      /all 3 of ann, ben, cat must sign \(before: any 2 of ann, ben, cat\)/,
    ],
  ])('of %s', (_, changes, words) => {
    expect(
      says(changes())
        .map(({ text }) => text)
        .join('\n'),
    ).toMatch(words);
  });

  it.each([
    ['builder-threshold', 1, /parties that must each have attested a build: 1/],
    ['sbom', 'required', /whether a release needs an attested SBOM: required/],
  ])('of %s', (field, value, words) => {
    expect(says([{ kind: 'set', product: PRODUCT, field, value }])[0]?.text).toMatch(words);
  });

  it('of a field that this version has no words for', () => {
    const before = authorityOf(world.state);
    const product = before.policy.products[PRODUCT];
    const policy = { ...before.policy, products: { [PRODUCT]: { ...product!, sbomRequired: true } } };
    expect(differencesOf(before, { ...before, policy })).toEqual([
      { about: 'policy', text: `${PRODUCT}: sbomRequired: true` },
    ]);
  });

  it('of a policy that is not of the right shape is a refusal', () => {
    const changes: Change[] = [{ kind: 'set', product: PRODUCT, field: 'emergency-floor', value: 2000 }];
    expect(() => says(changes)).toThrow(Refusal);
  });
});

type Sigs = { keyid: string; sig: string }[];

function buildKey({ publicKey }: PublicKey): Builder {
  return { kind: 'key', keyId: hintOf(publicKey), publicKey, state: 'active' };
}

function builderOf({ build }: World): string {
  return hintOf(build.publicKey);
}
