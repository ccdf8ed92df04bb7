/** Bins of evidence as the detector takes them: by signal, one per start, oldest first; and without what one charger told. */
import type { Signal } from '@tidegate/client-sdk/protocol';
import type { SignalBin, TreatedCharger } from '../core/types.ts';

export function bySignal(bins: readonly SignalBin[]): Map<Signal, SignalBin[]> {
  const groups = new Map<Signal, SignalBin[]>();
  for (const bin of bins) {
    const group = groups.get(bin.signal);
    if (group === undefined) groups.set(bin.signal, [bin]);
    else group.push(bin);
  }
  return groups;
}

export function merged(bins: readonly SignalBin[]): SignalBin[] {
  const byStart = new Map<number, SignalBin>();
  for (const bin of bins) {
    const held = byStart.get(bin.from);
    byStart.set(bin.from, held === undefined ? bin : added(held, bin));
  }
  return [...byStart.values()].sort((a, b) => a.from - b.from);
}

/**
 * The same bins as if these chargers had not been treated. Which part of a charger's exposure fell into which bin is not kept: it is laid over
 * the bins of its time as the whole fleet's is, and no bin loses more than it has.
 */
export function without(bins: readonly SignalBin[], chargers: readonly TreatedCharger[]): SignalBin[] {
  if (chargers.length === 0) return [...bins];
  const groups = new Map([...bySignal(bins)].map(([signal, group]) => [signal, merged(group)]));
  for (const charger of chargers) {
    const group = groups.get(charger.signal);
    if (group !== undefined) groups.set(charger.signal, withoutOne(group, charger));
  }
  return [...groups.values()].flat();
}

function withoutOne(bins: readonly SignalBin[], { events, exposure, from, to }: TreatedCharger): SignalBin[] {
  const counts = new Map<number, number>();
  for (const { from: start, count } of events) counts.set(start, (counts.get(start) ?? 0) + count);
  const within = (bin: SignalBin): boolean => bin.treatedExposure > 0 && bin.from >= from && bin.from < to;
  const all = bins.filter(within).reduce((sum, bin) => sum + bin.treatedExposure + bin.controlExposure, 0);
  return bins.map((bin) => {
    const part = within(bin) ? (exposure * (bin.treatedExposure + bin.controlExposure)) / all : 0;
    return {
      ...bin,
      treatedEvents: bin.treatedEvents - (counts.get(bin.from) ?? 0),
      treatedExposure: Math.max(0, bin.treatedExposure - part),
    };
  });
}

function added(a: SignalBin, b: SignalBin): SignalBin {
  return {
    ...a,
    treatedEvents: a.treatedEvents + b.treatedEvents,
    treatedExposure: a.treatedExposure + b.treatedExposure,
    controlEvents: a.controlEvents + b.controlEvents,
    controlExposure: a.controlExposure + b.controlExposure,
  };
}

export function hasExposure(bin: SignalBin): boolean {
  return bin.treatedExposure > 0 || bin.controlExposure > 0;
}
