import type { Exposure, Signal } from '@tidegate/client-sdk/protocol';
import { gamma, streamKey, uniform } from './hash.ts';
import { type Session, sessionAt, sessionsIn } from './sessions.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A time in which something outside the chargers multiplies everybody's rates: a thunderstorm, a back-end outage. */
export interface Storm {
  from: number;
  to: number;
  factor: number;
}

export interface ChargerTraits {
  seed: string;
  serial: string;
  /** `workplace`, `retail`, `depot`, `highway`; any other is as busy as `retail`. */
  siteType: string;
  /** Default 2. */
  connectors?: number;
  /** Mean over the fleet of connector faults per charger-day. Default 3; the other signals follow in proportion. */
  faultsPerDay?: number;
  /** Shape of the gamma spread of rates over chargers, mean 1; smaller is more unequal. Default 1. */
  frailtyShape?: number;
  storms?: readonly Storm[];
  /** By image (digest or version, whatever the caller passes as `image`): factor on the rate of connector faults. Others have 1. */
  faultFactors?: Readonly<Record<string, number>>;
}

export interface ModelEvent {
  /** Milliseconds since the epoch. */
  at: number;
  signal: Signal;
  /** OCPP error code or the like. */
  code: string;
  severity: number;
}

export interface ChargerModel {
  /** This charger's rates over the fleet's mean. */
  frailty: number;
  /**
   * Exposure and events in [from, to) while `image` runs. Additive: what two neighbouring intervals give is what the whole gives.
   * Events by rising time.
   */
  interval(from: number, to: number, image: string | null): { exposure: Exposure; events: ModelEvent[] };
  /** Whether a charging session is active then. Every two hours have a quarter of an hour without one. */
  charging(at: number): boolean;
}

/** Signals that strike at any time, at a rate per charger-day relative to that of connector faults. */
const TIMED = [
  {
    signal: 'fault',
    relative: 1,
    codes: ['ConnectorLockFailure', 'GroundFailure', 'OverTemperature', 'EVCommunicationError'],
  },
  { signal: 'offline', relative: 0.15, codes: ['ConnectionLost'] },
  { signal: 'boot', relative: 0.02, codes: ['Watchdog'] },
  { signal: 'security', relative: 0.01, codes: ['SettingSystemTime'] },
] as const;

/** Chance that something goes wrong with a session, at three faults per charger-day. */
const PER_SESSION = {
  failedStart: { chance: 0.03, code: 'NoEnergy' },
  authError: { chance: 0.02, code: 'Invalid' },
  abnormalStop: { chance: 0.02, code: 'EVDisconnected' },
} as const;

/** One charger of the model fleet: a pure function of its traits and of time, whoever asks and however often. */
export function chargerModel(traits: ChargerTraits): ChargerModel {
  const minutes = streamKey(traits.seed, traits.serial, 'minute');
  const details = streamKey(traits.seed, traits.serial, 'detail');
  const sessions = streamKey(traits.seed, traits.serial, 'session');
  const frailty = gamma(streamKey(traits.seed, traits.serial, 'frailty'), traits.frailtyShape ?? 1);
  const perMinute = ((traits.faultsPerDay ?? 3) * frailty) / (24 * 60);
  const perSession = ((traits.faultsPerDay ?? 3) / 3) * frailty;
  const storms = traits.storms ?? [];

  /** At most one event a minute: each signal owns a quarter of the unit interval, and strikes in its lower part. */
  const inMinute = (minute: number, image: string | null): ModelEvent | null => {
    const u = uniform(minutes, minute) * TIMED.length;
    const kind = TIMED[Math.floor(u)];
    if (kind === undefined) return null;
    const bad = kind.signal === 'fault' ? factorOf(traits, image) : 1;
    const chance = perMinute * kind.relative * bad * stormAt(storms, minute * MINUTE);
    if (u % 1 >= chance * TIMED.length) return null;
    const at = minute * MINUTE + Math.floor(uniform(details, 2 * minute) * MINUTE);
    const code = kind.codes[Math.floor(uniform(details, 2 * minute + 1) * kind.codes.length)];
    return { at, signal: kind.signal, code: code ?? kind.codes[0], severity: 4 };
  };

  const ofSession = (session: Session): ModelEvent[] => {
    const strike = (place: number, signal: keyof typeof PER_SESSION, at: number): ModelEvent[] => {
      const { chance, code } = PER_SESSION[signal];
      const strikes =
        uniform(sessions, session.index * 8 + place) < chance * perSession * stormAt(storms, at);
      return strikes ? [{ at, signal, code, severity: 5 }] : [];
    };
    return [
      ...strike(4, 'failedStart', session.from),
      ...strike(5, 'authError', session.from),
      ...strike(6, 'abnormalStop', session.to),
    ];
  };

  return {
    frailty,
    charging: (at) => sessionAt(sessions, traits.siteType, at) !== null,
    interval: (from, to, image) => {
      const within = (at: number) => at >= from && at < to;
      const hours = Math.max(0, to - from) / HOUR;
      const events: ModelEvent[] = [];
      let attempts = 0;
      let transactions = 0;
      for (let minute = Math.floor(from / MINUTE); minute * MINUTE < to; minute++) {
        const event = inMinute(minute, image);
        if (event !== null && within(event.at)) events.push(event);
      }
      for (const session of sessionsIn(sessions, traits.siteType, from, to)) {
        attempts += within(session.from) ? 1 : 0;
        transactions += within(session.to) ? 1 : 0;
        events.push(...ofSession(session).filter((event) => within(event.at)));
      }
      const connectorHours = hours * (traits.connectors ?? 2);
      events.sort((a, b) => a.at - b.at || (a.signal < b.signal ? -1 : 1));
      return { exposure: { attempts, connectorHours, chargerHours: hours, transactions }, events };
    },
  };
}

function factorOf(traits: ChargerTraits, image: string | null): number {
  return image === null ? 1 : (traits.faultFactors?.[image] ?? 1);
}

function stormAt(storms: readonly Storm[], at: number): number {
  return storms.reduce(
    (factor, storm) => (at >= storm.from && at < storm.to ? factor * storm.factor : factor),
    1,
  );
}
