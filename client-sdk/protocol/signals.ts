/** The health signals of design §5, each with the unit of its exposure. One place, used by the charger, the service and the simulation. */

export const SIGNALS = {
  /** A session start that was authorised and brought no energy. Exposure: attempts. */
  failedStart: { exposure: 'attempts' },
  /** An authorisation that was not accepted. Exposure: attempts. */
  authError: { exposure: 'attempts' },
  /** A connector fault. Exposure: connector-hours online. */
  fault: { exposure: 'connectorHours' },
  /** An offline episode, not the time spent offline. Exposure: charger-hours. */
  offline: { exposure: 'chargerHours' },
  /** A boot that nobody ordered. Exposure: charger-days, given in charger-hours. */
  boot: { exposure: 'chargerHours' },
  /** A transaction that ended by power loss, reboot, emergency stop or "other". Exposure: transactions. */
  abnormalStop: { exposure: 'transactions' },
  /** A security event of OCPP's list. Exposure: charger-days, given in charger-hours. */
  security: { exposure: 'chargerHours' },
} as const;

export type Signal = keyof typeof SIGNALS;
export type ExposureUnit = (typeof SIGNALS)[Signal]['exposure'];

export const SIGNAL_NAMES = Object.keys(SIGNALS) as Signal[];

/** Exposure gathered by one charger in one bin, by unit. A missing unit is 0. */
export type Exposure = Partial<Record<ExposureUnit, number>>;
