/** A rollout in a few lines. */
import type { RolloutView } from '../rollout-view.ts';
import { bar, when } from './table.ts';

export type StepView = RolloutView['steps'][number];

export function describeRollout(rollout: RolloutView): string[] {
  const { id, product, version, status, author, population } = rollout;
  const lines = [
    `${id}  ${product} ${version}  ${status}`,
    `  by ${author}, ${population} chargers, since ${when(rollout.statusSince)}`,
  ];
  if (rollout.waitingFor === 'approval') {
    lines.push(
      `  waits for approvals of the plan: ${rollout.approvals.length} of ${rollout.approvalsNeeded}`,
    );
  }
  const step = rollout.steps[rollout.current];
  if (rollout.waitingFor === 'gate' && step !== undefined) {
    lines.push(
      `  waits at the gate after ${step.name}: ${step.approvals.length} of ${step.approvalsNeeded} approvals`,
    );
  }
  if (rollout.pausedBecause !== null) lines.push(`  paused: ${rollout.pausedBecause}`);
  if (rollout.holding !== null) lines.push(`  held: ${HOLDS[rollout.holding] ?? rollout.holding}`);
  for (const warning of rollout.warnings) lines.push(`  warning: it would not start now. ${warning}`);
  if (rollout.evidence !== null) lines.push(`  evidence: ${rollout.evidence.sentence}`);
  if (rollout.unreturned > 0) lines.push(`  ${rollout.unreturned} chargers could not go back`);
  return lines;
}

const HOLDS: Record<string, string> = {
  NOBODY: 'not enough chargers: none could be drawn; it draws again each hour',
  EXPOSURE: 'not enough reported charger-hours yet',
  CONTROL: 'not enough reports of chargers without the release to compare with',
  EXPIRING: 'the next step does not open, because what it depends on would expire; "rollout why" says what',
};

/** One line for each step: name, status, bar, figures. */
export function progressOf(rollout: RolloutView): string[] {
  const width = Math.max(...rollout.steps.map((step) => step.name.length));
  return rollout.steps.map((step) => {
    const done = settled(step);
    const share = step.size === 0 ? 0 : done / step.size;
    const name = step.name.padEnd(width);
    return `  ${name}  ${step.status.padEnd(7)}  ${bar(share)}  ${figures(step)}`;
  });
}

function settled({ counts }: StepView): number {
  return (counts.HEALTHY ?? 0) + (counts.SKIPPED ?? 0) + (counts.ROLLED_BACK ?? 0);
}

const UNDER_WAY = ['OFFERED', 'DOWNLOADING', 'STAGED', 'WAITING_WINDOW', 'INSTALLING', 'VERIFYING'] as const;
const SHOWN = ['ROLLING_BACK', 'ROLLED_BACK', 'FAILED', 'LOST', 'SKIPPED'] as const;

/** `8/12 healthy, 3 under way, 1 failed, 40 of 120 charger-hours` */
export function figures(step: StepView): string {
  const { counts, size, soak } = step;
  const underWay = UNDER_WAY.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const parts = [`${counts.HEALTHY ?? 0}/${size} healthy`];
  if (underWay > 0) parts.push(`${underWay} under way`);
  // Whoever was offline in a step that has passed is caught up when it is back.
  if (step.status === 'PASSED' && counts.PENDING !== undefined)
    parts.push(`${counts.PENDING} not reached yet`);
  for (const state of SHOWN) {
    const n = counts[state] ?? 0;
    if (n > 0) parts.push(`${n} ${state.toLowerCase().replace('_', ' ')}`);
  }
  if (step.status === 'SOAKING') {
    parts.push(`${Math.floor(soak.reportedChargerHours)} of ${Math.ceil(soak.chargerHours)} charger-hours`);
  }
  return parts.join(', ');
}
