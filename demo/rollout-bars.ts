/** A rollout as bars: each says how far its step is in what it does now. */
import { count, type RolloutView, type StepView } from './rollout-view.ts';
import type { Bar } from './screen.ts';

const HOUR = 3_600_000;
const SETTLED = ['HEALTHY', 'ROLLED_BACK', 'SKIPPED'];
const UNDER_WAY = ['OFFERED', 'DOWNLOADING', 'STAGED', 'WAITING_WINDOW', 'INSTALLING', 'VERIFYING'];
const SHOWN = ['FAILED', 'LOST', 'ROLLING_BACK', 'ROLLED_BACK', 'SKIPPED'];

/** @param now ms of the fleet's clock */
export function barsOf(view: Pick<RolloutView, 'steps'>, now: number): Bar[] {
  return view.steps.map((step) => ({
    label: step.name,
    state: step.status.toLowerCase(),
    ...(step.status === 'SOAKING' ? soaking(step, now) : installing(step)),
  }));
}

/** A soak needs its time and its exposure: the bar shows the one that is behind. */
function soaking({ soak }: StepView, now: number): Pick<Bar, 'share' | 'note'> {
  const since = soak.since === null ? now : Date.parse(soak.since);
  const hours = Math.min(soak.hours, Math.max(0, (now - since) / HOUR));
  const exposure = Math.min(soak.chargerHours, soak.reportedChargerHours);
  return {
    share: Math.min(shareOf(hours, soak.hours), shareOf(exposure, soak.chargerHours)),
    note: `${Math.floor(hours)} of ${soak.hours} h, ${Math.floor(exposure)} of ${Math.ceil(soak.chargerHours)} charger-hours`,
  };
}

function installing(step: StepView): Pick<Bar, 'share' | 'note'> {
  const { status, size, counts } = step;
  const underWay = count(step, UNDER_WAY);
  const more = [
    ...(underWay > 0 ? [`${underWay} under way`] : []),
    ...SHOWN.filter((state) => (counts[state] ?? 0) > 0).map(
      (state) => `${counts[state]} ${state.toLowerCase().replace('_', ' ')}`,
    ),
  ];
  const goingBack = count(step, ['ROLLING_BACK', 'ROLLED_BACK']);
  return {
    share:
      status === 'FAILED'
        ? shareOf(count(step, ['ROLLED_BACK']), goingBack)
        : shareOf(count(step, SETTLED), size),
    note: [`${counts['HEALTHY'] ?? 0}/${size} healthy`, ...more].join('  '),
  };
}

const shareOf = (part: number, whole: number): number => (whole > 0 ? part / whole : 1);
