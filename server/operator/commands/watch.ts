import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { RolloutView } from '../rollout-view.ts';
import { CommandError, type CommandContext, EXIT } from './context.ts';
import { picture, terminalOf } from './picture.ts';
import { describeRollout, figures, progressOf } from './progress.ts';
import { type CommonOptions, newCommand, type Result, run, type Session } from './run.ts';

/** A service that restarts is back well within this; then the watch gives up. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = 500;

const ENDS: readonly string[] = ['COMPLETED', 'ROLLED_BACK', 'CANCELLED'];

export function watchCommand(context: CommandContext): Command {
  return newCommand('watch <id>', 'Follow a rollout until it ends; exit code 0 only when it was completed', [
    'rollout watch r-20261122-ab12cd',
    'rollout watch r-20261122-ab12cd --json   (one line for each change)',
  ]).action((id: string, options: CommonOptions) =>
    run(context, options, async (session) => {
      const shown = display(context, session);
      try {
        return ended(session, await follow(session, id, (view) => shown.show(view)));
      } finally {
        shown.end();
      }
    }),
  );
}

function ended(session: Session, last: RolloutView): Result {
  const exit = last.status === 'COMPLETED' ? EXIT.ok : EXIT.failed;
  const lines = session.interactive ? [] : describeRollout(last);
  // As JSON each view was a line already, the last one too.
  return { json: undefined, lines, exit };
}

/** Shows each view; connects again when the service goes away, because the next view holds everything that was missed. */
async function follow(session: Session, id: string, show: (view: RolloutView) => void): Promise<RolloutView> {
  let goneSince: number | undefined;
  for (;;) {
    try {
      for await (const { event, data } of session.service.events(
        `/rollouts/${encodeURIComponent(id)}/events`,
      )) {
        if (event !== 'rollout') continue;
        goneSince = undefined;
        const view = data as RolloutView;
        show(view);
        if (ENDS.includes(view.status)) return view;
      }
    } catch (error) {
      if (!(error instanceof CommandError) || error.exit !== EXIT.unreachable) throw error;
      goneSince ??= Date.now();
      if (Date.now() - goneSince > PATIENCE_MS) throw error;
    }
    await delay(AGAIN_MS);
  }
}

interface Display {
  show(view: RolloutView): void;
  end(): void;
}

function display(context: CommandContext, session: Session): Display {
  if (session.interactive) return redraw(context);
  const show = session.json
    ? (view: RolloutView) => context.out(JSON.stringify(view))
    : changedLines(context);
  return { show, end: () => undefined };
}

/** Draws the whole picture over the one before. */
function redraw(context: CommandContext): Display {
  const drawn = picture(terminalOf(context));
  return {
    show: (view) => drawn.show([...describeRollout(view), ...progressOf(view)]),
    end: () => drawn.end(),
  };
}

/** Says what changed, and nothing twice. */
function changedLines(context: CommandContext): (view: RolloutView) => void {
  const said = new Map<string, string>();
  return (view) => {
    const now = new Map([['rollout', describeRollout(view).join('\n')]]);
    for (const step of view.steps) {
      if (step.status !== 'PENDING')
        now.set(`step ${step.name}`, `  ${step.name} ${step.status}: ${figures(step)}`);
    }
    for (const [what, text] of now) {
      if (said.get(what) === text) continue;
      for (const line of text.split('\n')) context.out(line);
      said.set(what, text);
    }
  };
}
