/** Which of a charger's events count, and which are hard. Design §5 */
import type { HealthEvent, Signal } from '@tidegate/client-sdk/protocol';
import { isRepeat } from '@tidegate/rollout/health';

/** Where no rollout says otherwise. */
export const DEDUPLICATE_MINUTES = 15;
/** Three unexpected boots within this time are a boot loop. Design §5 */
const BOOT_LOOP_MS = 15 * 60_000;
/** OCPP 2.0.1 security event: the charger was given firmware whose signature is wrong. */
const INVALID_SIGNATURE = 'InvalidFirmwareSignature';
/** An event within its bin. */
export interface TimedEvent {
  signal: Signal;
  /** ms, within the report's bin. */
  at: number;
}

/** Two boots before the latest, remembered between reports: a looping charger tells of each boot in a report of its own. */
const EARLIER_BOOT = 'boot:earlier';
const LATEST_BOOT = 'boot:latest';

/** When something last happened to a charger, ms: each signal's last event that counted, and two boots. */
export type LastEvents = Map<Signal | typeof EARLIER_BOOT | typeof LATEST_BOOT, number>;

/**
 * Picks the events that count and notes them in `lastEvents`. An event that repeats one of the same signal within the window does
 * not count, whatever its code: who invents thirty kinds of fault has no more of them than who has one. Design §5
 */
export function countedEvents(
  events: readonly HealthEvent[],
  bin: { from: number; to: number },
  lastEvents: LastEvents,
  windowMinutes: number,
): TimedEvent[] {
  return byTime(events, bin).flatMap(({ event, at }) => {
    const key = event.signal;
    if (isRepeat(lastEvents.get(key) ?? null, at, windowMinutes)) return [];
    lastEvents.set(key, at);
    return [{ signal: event.signal, at }];
  });
}

/** The first hard event among these: severity 0, an invalid signature, or the boot that closes a loop. */
export function hardEvent(
  events: readonly HealthEvent[],
  bin: { from: number; to: number },
  lastEvents: LastEvents,
): { code: string; at: number } | undefined {
  let found: { code: string; at: number } | undefined;
  for (const { event, at } of byTime(events, bin)) {
    if (event.signal === 'boot' && closesLoop(at, lastEvents)) found ??= { code: 'BOOT_LOOP', at };
    if (event.severity === 0) found ??= { code: event.code, at };
    if (event.signal === 'security' && event.code === INVALID_SIGNATURE) found ??= { code: event.code, at };
  }
  return found;
}

/** Every boot is looked at here, also one that repeats another. */
function closesLoop(at: number, lastEvents: LastEvents): boolean {
  const earlier = lastEvents.get(EARLIER_BOOT);
  const latest = lastEvents.get(LATEST_BOOT);
  lastEvents.set(LATEST_BOOT, at);
  if (latest !== undefined) lastEvents.set(EARLIER_BOOT, latest);
  return earlier !== undefined && at - earlier < BOOT_LOOP_MS;
}

/** In the order of their own times, which are held to the bin: a charger's clock may be wrong, its bin is what it ran. */
function byTime(events: readonly HealthEvent[], bin: { from: number; to: number }) {
  return events
    .map((event) => ({ event, at: Math.min(Math.max(Date.parse(event.at), bin.from), bin.to) }))
    .sort((a, b) => a.at - b.at);
}
