/** What the demo came to: for a person and for a machine. */
import type { AttackOutcome } from './attacks.ts';

export interface Outcome {
  seed: number;
  image: string;
  goodRollout: string;
  badRollout: string;
  evidence: string;
  chargers: number;
  /** Healthy on release A in the end, by the service's word and by their own. */
  onGood: number;
  everOnBad: number;
  attacks: AttackOutcome[];
  restarts: number;
  /** Of the wall's time, in which the fleet's clock went slower. */
  slowedSeconds: number;
  seconds: number;
}

export interface Verdict {
  goodRollout: string;
  badRollout: string;
  chargers: number;
  onGood: number;
  everOnBad: number;
  attacksRefused: number;
  twinsInstalled: number;
  seconds: number;
}

export function verdictOf(outcome: Outcome): Verdict {
  const { goodRollout, badRollout, chargers, onGood, everOnBad, attacks, seconds } = outcome;
  return {
    goodRollout,
    badRollout,
    chargers,
    onGood,
    everOnBad,
    attacksRefused: attacks.filter(({ refused }) => refused).length,
    twinsInstalled: attacks.filter(({ twinInstalled }) => twinInstalled).length,
    seconds,
  };
}

/** What did not happen, in words; empty when all of it did. */
export function shortcomings(verdict: Verdict, attacks: number): string[] {
  const { goodRollout, badRollout, chargers, onGood, everOnBad, attacksRefused, twinsInstalled } = verdict;
  return [
    ...(goodRollout === 'COMPLETED' ? [] : [`the good release ended ${goodRollout}, not COMPLETED`]),
    ...(badRollout === 'ROLLED_BACK' ? [] : [`the bad release ended ${badRollout}, not ROLLED_BACK`]),
    ...(onGood === chargers ? [] : [`${chargers - onGood} chargers are not healthy on the good release`]),
    ...(everOnBad > 0 ? [] : ['no charger ever took the bad release, so nothing was taken back']),
    ...(attacksRefused === attacks
      ? []
      : [`${attacks - attacksRefused} attacks were not refused as expected`]),
    ...(twinsInstalled === attacks ? [] : [`${attacks - twinsInstalled} twins did not install`]),
  ];
}

export function reportLines(outcome: Outcome): string[] {
  const { attacks } = outcome;
  const width = Math.max(...attacks.map(({ name }) => name.length));
  return [
    '',
    `Image      ${outcome.image}`,
    `Release A  ${outcome.goodRollout}: ${outcome.onGood} of ${outcome.chargers} chargers are healthy on it, by the service's word and their own; a storm did not stop it`,
    `Release B  ${outcome.badRollout}: ${outcome.everOnBad} chargers had taken it, all went back without a human`,
    `           ${outcome.evidence}`,
    'Attacks on one charger, each beside its twin without the attack:',
    ...attacks.map(
      ({ name, refused, expected, seen, twinInstalled }) =>
        `  ${name.padEnd(width)}  ${refused ? `refused ${expected}` : `NOT REFUSED (${seen.join(', ') || 'nothing'})`}, twin ${twinInstalled ? 'installed' : 'NOT INSTALLED'}`,
    ),
    ...(outcome.restarts > 0
      ? [`The service died ${outcome.restarts} time(s) meanwhile and was started again.`]
      : []),
    ...(outcome.slowedSeconds >= 1
      ? [`The fleet's clock waited for this machine: it went slower for ${outcome.slowedSeconds} s.`]
      : []),
    `${outcome.seconds} s. Repeat it: npm run demo -- --seed ${outcome.seed}`,
  ];
}
