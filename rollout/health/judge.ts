import type { Signal } from '@tidegate/client-sdk/protocol';
import type { Behind, Earlier, Plan, SignalBin, TreatedCharger } from '../core/types.ts';
import { without } from './bins.ts';
import { evaluate, type SignalVerdict, type Verdict } from './evaluate.ts';

/** Evidence that takes a release back comes from at least this many treated chargers, at this many sites. Design §5 */
export const CHARGERS_TO_HALT = 3;
export const SITES_TO_HALT = 2;
/** Chargers that evidence names, those with the most events first. */
const NAMED = 20;
/** Of the chargers with the most events, so many are left out in turn, to find the one without which M is lowest. */
const TRIED = 5;

export interface DetectorInput {
  bins: readonly SignalBin[];
  /** Whose events and exposure the bins hold; needed of each signal that reaches its threshold. */
  treated: readonly TreatedCharger[];
  earlier: Earlier;
  /** Chargers that a person has seen and resumed over: they count no more. */
  overlooked: readonly string[];
}

/**
 * - `quiet`: no threshold is reached.
 * - `hangs`: one is reached, but not without one charger, or only by too few chargers or at too few sites. A reason to pause, not to take back.
 * - `stands`: it is reached without any one charger too. A reason to halt and to go back.
 */
export type Judgement =
  { kind: 'quiet'; verdict: Verdict } | { kind: 'hangs' | 'stands'; verdict: Verdict; found: Found };

export interface Found {
  verdict: SignalVerdict;
  behind: Behind;
}

/**
 * What the detector makes of a rollout. One stolen device identity must not undo a security fix (design §5), and whoever holds one can invent
 * as many events as are counted. So a threshold that is reached halts only if the others reach it too without the charger that matters most,
 * if those with events are three chargers at least, and if the others among them are at two sites: that one cannot stand in for a second site.
 *
 * Each of these conditions comes on top of M ≥ 1/α over everybody. So this rule halts in fewer cases than that does, and Ville's bound on false
 * halts still holds; it bounds false pauses as well. Chargers are looked at one by one only when a threshold is reached.
 */
export function judge(input: DetectorInput, detector: Plan['detector']): Judgement {
  const { treated, earlier } = input;
  const look = (bins: readonly SignalBin[]): Verdict => evaluate(bins, detector, earlier);
  const everybody = look(input.bins);
  const quiet: Judgement = { kind: 'quiet', verdict: everybody };
  if (!everybody.halt) return quiet;
  const overlooked = new Set(input.overlooked);
  const bins = without(
    input.bins,
    treated.filter(({ serial }) => overlooked.has(serial)),
  );
  const verdict = overlooked.size === 0 ? everybody : look(bins);
  const crossing = verdict.signals.filter((each) => each.halt && sameIn(everybody, each)?.halt);
  const found = crossing.flatMap((each) => {
    const mine = treated.filter(({ signal, serial }) => signal === each.signal && !overlooked.has(serial));
    return behindOf(each, bins, mine, look);
  });
  found.sort((a, b) => b.verdict.lnM - a.verdict.lnM);
  const standing = found.find(stands);
  if (standing !== undefined) return { kind: 'stands', verdict, found: standing };
  const [hanging] = found;
  return hanging === undefined ? { ...quiet, verdict } : { kind: 'hangs', verdict, found: hanging };
}

/** Signals of which `judge` needs the treated chargers: those that reach their threshold with everybody counted. */
export function crossingSignals(
  bins: readonly SignalBin[],
  earlier: Earlier,
  detector: Plan['detector'],
): Signal[] {
  const crossing = evaluate(bins, detector, earlier).signals.filter((each) => each.halt);
  return [...new Set(crossing.map(({ signal }) => signal))];
}

/** Whether all others reach the threshold without the first charger. */
export function standsWithoutFirst({ verdict, behind }: Found): boolean {
  return behind.lnMWithoutFirst >= Math.log(verdict.threshold);
}

function stands(found: Found): boolean {
  const { chargers, sites } = found.behind.others;
  return standsWithoutFirst(found) && 1 + chargers >= CHARGERS_TO_HALT && sites >= SITES_TO_HALT;
}

/** Empty when it is not known who is behind it. */
function behindOf(
  verdict: SignalVerdict,
  bins: readonly SignalBin[],
  treated: readonly TreatedCharger[],
  look: (bins: readonly SignalBin[]) => Verdict,
): Found[] {
  const counted = treated.map((charger) => ({ charger, events: eventsOf(charger) }));
  counted.sort((a, b) => b.events - a.events || (a.charger.serial < b.charger.serial ? -1 : 1));
  const tried = counted.slice(0, TRIED).map((each) => {
    const others = look(without(bins, [each.charger]));
    return { ...each, lnM: sameIn(others, verdict)?.lnM ?? 0 };
  });
  const [first] = tried.sort((a, b) => a.lnM - b.lnM);
  if (first === undefined) return [];
  const others = counted.filter(({ charger, events }) => charger !== first.charger && events > 0);
  const behind: Behind = {
    chargers: [first, ...others]
      .slice(0, NAMED)
      .map(({ charger: { serial, site }, events }) => ({ serial, site, events })),
    others: { chargers: others.length, sites: new Set(others.map(({ charger }) => charger.site)).size },
    lnMWithoutFirst: first.lnM,
  };
  return [{ verdict, behind }];
}

function eventsOf({ events }: TreatedCharger): number {
  return events.reduce((sum, { count }) => sum + count, 0);
}

function sameIn({ signals }: Verdict, of: SignalVerdict): SignalVerdict | undefined {
  return signals.find(({ signal, comparison }) => signal === of.signal && comparison === of.comparison);
}
