/**
 * Believes an answer of the service, or not. The order matters for a charger that does not know the time: the director's signed time
 * first, then metadata judged by it, then the directive judged by the policy that is current now.
 */
import { Refusal } from '../protocol/index.ts';
import type { Directive, Envelope, TrustPolicy } from '../protocol/index.ts';
import { directiveTime, verifyDirective } from '../trust/index.ts';
import type { TimeKeeper } from './time-keeper.ts';
import { earliestExpiry } from './trust-keeper.ts';
import type { TrustHint, TrustKeeper } from './trust-keeper.ts';

export interface Heard {
  directive: Directive;
  /** Why the metadata that came along is not trusted; nothing may be installed until it is. */
  distrust: Refusal | undefined;
}

type Last = { epoch: number; sequence: number } | null;

export class Listener {
  readonly #identity: { organisation: string; serial: string };
  readonly #time: TimeKeeper;
  readonly #trust: TrustKeeper;

  constructor(identity: { organisation: string; serial: string }, time: TimeKeeper, trust: TrustKeeper) {
    this.#identity = { organisation: identity.organisation, serial: identity.serial };
    this.#time = time;
    this.#trust = trust;
  }

  /** An answer to a check-in. @throws Refusal */
  async hear(envelope: Envelope, nonce: string, hint: TrustHint, last: Last): Promise<Heard> {
    await this.#time.learn(await this.#signedTime(envelope, nonce, hint), this.#provenUntil());
    let distrust: Refusal | undefined;
    if (!this.#trust.isCurrent(hint, this.#time.now())) {
      try {
        await this.#trust.refresh(hint, this.#time.now());
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        distrust = error;
      }
    }
    return { directive: this.#verify(envelope, nonce, last), distrust };
  }

  /** An answer to a confirmation, under what is trusted already. @throws Refusal */
  async hearConfirmation(envelope: Envelope, nonce: string, last: Last): Promise<Directive> {
    const signedTime = directiveTime(envelope, this.#context(this.#policy(), nonce));
    await this.#time.learn(signedTime, this.#provenUntil());
    return this.#verify(envelope, nonce, last);
  }

  async #signedTime(envelope: Envelope, nonce: string, hint: TrustHint): Promise<number> {
    const known = this.#trust.current?.policy;
    // Without any policy yet, metadata is judged by a time that is certainly past; it is judged again by the signed time.
    const policy = known ?? (await this.#trust.refresh(hint, this.#time.floor)).policy;
    try {
      return directiveTime(envelope, this.#context(policy, nonce));
    } catch (error) {
      const perhapsNewKey = error instanceof Refusal && error.code === 'DIRECTIVE_UNSIGNED';
      // A clock that woke in 2106 must not keep the charger from the keys of today.
      const time = this.#time.heard ? this.#time.now() : this.#time.floor;
      if (!known || !perhapsNewKey || this.#trust.isCurrent(hint, time)) throw error;
      const fresh = await this.#trust.refresh(hint, time);
      return directiveTime(envelope, this.#context(fresh.policy, nonce));
    }
  }

  #verify(envelope: Envelope, nonce: string, last: Last): Directive {
    return verifyDirective(envelope, {
      ...this.#context(this.#policy(), nonce),
      now: this.#time.now(),
      last: last ?? undefined,
    });
  }

  #provenUntil(): number {
    const known = this.#trust.current;
    return known ? earliestExpiry(known) : -Infinity;
  }

  #policy(): TrustPolicy {
    const policy = this.#trust.current?.policy;
    if (!policy) throw new Refusal('POLICY_MALFORMED', 'no policy is trusted yet');
    return policy;
  }

  #context(policy: TrustPolicy, nonce: string) {
    return { policy, ...this.#identity, nonce };
  }
}
