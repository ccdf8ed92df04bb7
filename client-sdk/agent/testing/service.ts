/**
 * A small service for tests of the agent: real TUF metadata, real bundles, real directives, no database. It tells one charger what the
 * test wants it told, and a test may change any answer on its way.
 */
import { DIRECTIVE_PAYLOAD_TYPE, preAuthEncoding } from '../../protocol/index.ts';
import type {
  CheckIn,
  CheckInAnswer,
  Clock,
  Confirm,
  ConfirmAnswer,
  Directive,
  DirectiveAction,
  Envelope,
  ReleaseTarget,
  TargetCustom,
  TrustPolicy,
} from '../../protocol/index.ts';
import { testKey } from '../../trust/testing/keys.ts';
import {
  keyBundle,
  policy,
  release,
  statement,
  withBundles,
  withSbom,
} from '../../trust/testing/releases.ts';
import { NOW, TestRepository } from '../../trust/testing/repository.ts';

/** Time that stands still but for sleeping. */
export function testClock(start = NOW): Clock & { time: number } {
  const clock = {
    time: start,
    now: () => clock.time,
    async sleep(ms: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      clock.time += ms;
    },
  };
  return clock;
}

export class TestService {
  readonly repository = new TestRepository();
  readonly builder = testKey('p256');
  director = testKey();
  policy: TrustPolicy;
  readonly clock: Clock;
  /** What is wanted of the charger; undefined: nothing. */
  wanted: { assignment: string; target: ReleaseTarget } | undefined;
  withdrawn = false;
  /** Offers what ended again and again. */
  insists = false;
  /** How a confirmation is answered. */
  confirmation: 'activate' | 'withdraw' | 'none' | 'unavailable' = 'activate';
  /** Changes a directive before, or an answer after it is signed. */
  tamper: {
    directive?: (directive: Directive) => void;
    answer?: (answer: CheckInAnswer) => void;
  } = {};
  readonly checkIns: CheckIn[] = [];
  readonly confirms: Confirm[] = [];
  /** Paths that were fetched below `/tuf/`. */
  readonly fetched: string[] = [];
  #sequence = 0;
  #acknowledged = 0;
  #ended: string | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
    this.policy = policy(this.builder, this.director);
    this.publishPolicy(this.policy);
  }

  publishPolicy(changed: TrustPolicy): void {
    this.policy = changed;
    this.repository.topTargets.set('trust/policy.json', Buffer.from(JSON.stringify(changed)));
    if (this.repository.files.size === 0) this.repository.publish();
    else this.repository.bump('targets');
  }

  /**
   * Builds, signs and publishes an image.
   * @param also further bundles, and an SBOM
   */
  publish(
    image: Buffer,
    changes: Partial<TargetCustom> = {},
    also: (plain: ReleaseTarget) => { bundles?: Buffer[]; sbom?: Buffer } = () => ({}),
  ): ReleaseTarget {
    const plain = release(changes, image);
    const { bundles = [], sbom } = also(plain);
    const all = [keyBundle(this.builder, statement(plain)), ...bundles];
    const attested = withBundles(plain, all);
    const target = sbom === undefined ? attested : withSbom(attested, sbom);
    this.repository.productTargets[target.path] = {
      length: target.length,
      hashes: { sha256: target.sha256 },
      custom: target.custom,
    };
    this.repository.bump('product');
    this.put(target.path, target.sha256, image);
    for (const [i, side] of target.custom.bundles.entries()) this.put(side.path, side.sha256, all[i]!);
    if (target.custom.sbom) this.put(target.custom.sbom.path, target.custom.sbom.sha256, sbom!);
    return target;
  }

  put(path: string, digest: string, bytes: Buffer): void {
    const slash = path.lastIndexOf('/') + 1;
    this.repository.files.set(`targets/${path.slice(0, slash)}${digest}.${path.slice(slash)}`, bytes);
  }

  checkIn(body: CheckIn): CheckInAnswer {
    this.checkIns.push(body);
    this.#ended = ENDED.has(body.assignment?.progress ?? '') ? body.assignment?.assignment : this.#ended;
    for (const report of body.reports) this.#acknowledged = Math.max(this.#acknowledged, report.sequence);
    const answer: CheckInAnswer = {
      directive: this.#sign(this.#directiveFor(body.nonce)),
      timestamp: this.repository.file('metadata/timestamp.json').toString('utf8'),
      rootVersion: this.repository.versions.root,
      acknowledged: this.#acknowledged,
      pollAfter: 900,
    };
    this.tamper.answer?.(answer);
    return answer;
  }

  /** Undefined: the service is not there. */
  confirm(body: Confirm): ConfirmAnswer | undefined {
    this.confirms.push(body);
    if (this.confirmation === 'unavailable') return undefined;
    return { directive: this.#sign(this.#directiveFor(body.nonce, this.confirmation)) };
  }

  file(path: string): Buffer | undefined {
    this.fetched.push(path);
    return this.repository.files.get(path);
  }

  #directiveFor(nonce: string, action?: DirectiveAction): Directive {
    const issued = Math.floor(this.clock.now() / 1000) * 1000;
    const directive: Directive = {
      _type: 'tidegate-directive',
      organisation: 'acme',
      serial: 'C-0001',
      nonce,
      epoch: 2,
      sequence: ++this.#sequence,
      issuedAt: seconds(issued),
      expires: seconds(issued + 60 * 60 * 1000),
      action: 'none',
    };
    if (!this.wanted || action === 'none') return directive;
    const { assignment, target } = this.wanted;
    if (assignment === this.#ended && !this.insists) return directive;
    if (this.withdrawn || action === 'withdraw') return { ...directive, action: 'withdraw', assignment };
    const { path, sha256, length, custom } = target;
    const named = { path, sha256, length, version: custom.version };
    return { ...directive, action: action ?? 'install', assignment, target: named };
  }

  #sign(directive: Directive): Envelope {
    this.tamper.directive?.(directive);
    const payload = Buffer.from(JSON.stringify(directive));
    const sig = this.director.sign(preAuthEncoding(DIRECTIVE_PAYLOAD_TYPE, payload)).toString('base64');
    return {
      payloadType: DIRECTIVE_PAYLOAD_TYPE,
      payload: payload.toString('base64'),
      signatures: [{ keyid: this.director.id, sig }],
    };
  }
}

const ENDED: ReadonlySet<string> = new Set(['HEALTHY', 'ROLLED_BACK', 'FAILED']);

const seconds = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
