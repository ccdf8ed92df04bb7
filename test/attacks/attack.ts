/** What an attack is, how it is played beside its twin, and when it went as it should. */
import type { RefusalCode } from '@tidegate/client-sdk/protocol';
import type { Certificates } from './line.ts';
import { Scene } from './scene.ts';

export interface Attack {
  name: string;
  /** Whose keys or machines the attacker has. */
  compromised: string;
  expected: {
    /** `stays` on what it ran; `installs` what is wanted. */
    charger: 'stays' | 'installs';
    /** What it refuses with, also where it installs in the end. */
    code?: RefusalCode;
    /** Why an install is right, or all that design §3 promises. */
    because?: string;
  };
  /** Both plays, up to what is wanted. Afterwards the scene passes until it is settled. */
  play(scene: Scene, attacked: boolean): Promise<void>;
}

export interface Outcome {
  name: string;
  compromised: string;
  expected: string;
  seen: string;
  asExpected: boolean;
  twin: string;
  twinInstalled: boolean;
  milliseconds: number;
}

export async function tryAttack(attack: Attack, held: Certificates): Promise<Outcome> {
  const started = performance.now();
  const { name, compromised, expected } = attack;
  const attacked = await playOnce(attack, true, held);
  const twin = await playOnce(attack, false, held);
  return {
    name,
    compromised,
    expected: `${expected.charger}${expected.code === undefined ? '' : `, ${expected.code}`}${expected.because === undefined ? '' : ` (${expected.because})`}`,
    seen: said(attacked),
    asExpected:
      attacked.charger === expected.charger &&
      attacked.bad.length === 0 &&
      (expected.code === undefined ? attacked.codes.length === 0 : attacked.codes.includes(expected.code)),
    twin: said(twin),
    twinInstalled: twin.charger === 'installs' && twin.bad.length === 0,
    milliseconds: Math.round(performance.now() - started),
  };
}

interface Ending {
  charger: 'stays' | 'installs' | 'changed';
  codes: string[];
  /** What must never be: see `Scene.unverified`. */
  bad: string[];
}

async function playOnce(attack: Attack, attacked: boolean, held: Certificates): Promise<Ending> {
  const scene = await Scene.open(held);
  try {
    await attack.play(scene, attacked);
    await scene.settle();
    const charger = (await scene.installed()) ? 'installs' : (await scene.stayed()) ? 'stays' : 'changed';
    return { charger, codes: scene.codes, bad: await scene.unverified() };
  } catch (error) {
    return { charger: 'changed', codes: [], bad: [`threw ${String(error)}`] };
  } finally {
    await scene.close();
  }
}

function said({ charger, codes, bad }: Ending): string {
  return [charger, ...codes, ...bad.map((each) => `! ${each}`)].join(', ');
}
