import { Command } from 'commander';
import type { RolloutView } from '../rollout-view.ts';
import type { ServiceClient } from './client.ts';
import type { CommandContext } from './context.ts';
import { allPages } from './pages.ts';
import { planOf, type PlanOptions, withPlanOptions } from './plan-options.ts';
import { describeRollout, progressOf } from './progress.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { table, when } from './table.ts';
import { watchCommand } from './watch.ts';
import { whyCommand } from './why.ts';

export function rolloutCommand(context: CommandContext): Command {
  const group = new Command('rollout').description(
    'Let a release out to the fleet: in waves, behind approvals',
  );
  for (const command of [create(context), list(context), show(context)]) group.addCommand(command);
  group.addCommand(watchCommand(context));
  for (const action of ACTIONS) group.addCommand(actionCommand(context, action));
  return group.addCommand(whyCommand(context));
}

function create(context: CommandContext): Command {
  type Options = CommonOptions &
    PlanOptions & { product: string; version: string; seed?: string; draft?: boolean; reason: string };
  const command = newCommand('create', 'Plan a rollout of a release and ask for approval', [
    'rollout create --product acme.dc150 --version 1.2.0 --reason "fixes the display"',
    'rollout create --product acme.dc150 --version 1.2.0 --canary 12 --waves 12,30 --hold-back 6 --soak-hours 20 --reason …',
    'rollout create --product acme.dc150 --version 1.2.0 --plan plan.json --reason …',
  ])
    .requiredOption('--product <id>', 'product')
    .requiredOption('--version <version>', 'the published release to let out')
    .requiredOption('--reason <text>', 'why; for the audit log')
    .option('--seed <text>', 'of the cohort draw (default: random)')
    .option('--draft', 'do not ask for approval yet');
  return withPlanOptions(command).action((options: Options) =>
    run(context, options, async ({ service }) => {
      const { product, version, seed, draft = false, reason } = options;
      const plan = await planOf(context, options);
      const rollout = await service.post<RolloutView>('/rollouts', {
        product,
        version,
        plan,
        seed,
        draft,
        reason,
      });
      return { json: rollout, lines: [...describeRollout(rollout), ...nextSteps(rollout)] };
    }),
  );
}

/** What a person has to do now, if anything. */
function nextSteps(rollout: RolloutView): string[] {
  const { id } = rollout;
  if (rollout.status === 'DRAFT') return [`Next: tidegate rollout submit ${id} --reason …`];
  if (rollout.waitingFor !== null) {
    return [`Next, by somebody other than ${rollout.author}: tidegate rollout approve ${id} --reason …`];
  }
  if (rollout.status === 'PAUSED') return [`Next: tidegate rollout resume ${id} --reason …, or halt`];
  return [`Watch it: tidegate rollout watch ${id}`];
}

function list(context: CommandContext): Command {
  type Options = CommonOptions & { product?: string };
  type Summary = Pick<
    RolloutView,
    'id' | 'product' | 'version' | 'status' | 'statusSince' | 'author' | 'population'
  >;
  return newCommand('list', 'List rollouts, newest first', [
    'rollout list',
    'rollout list --product acme.dc150',
  ])
    .option('--product <id>', 'only of this product')
    .action(({ product, ...options }: Options) =>
      run(context, options, async ({ service }) => {
        const rollouts = await allPages<Summary>(service, '/rollouts', { product });
        const rows = rollouts.map((one) => [
          one.id,
          one.product,
          one.version,
          one.status,
          when(one.statusSince),
          one.author,
          one.population,
        ]);
        const header = ['ROLLOUT', 'PRODUCT', 'VERSION', 'STATUS', 'SINCE', 'AUTHOR', 'CHARGERS'];
        return { json: { rollouts }, lines: rows.length === 0 ? ['No rollouts.'] : table(header, rows) };
      }),
    );
}

function show(context: CommandContext): Command {
  return newCommand('show <id>', 'Show a rollout with its steps and how far they are', [
    'rollout show r-20261122-ab12cd',
  ]).action((id: string, options: CommonOptions) =>
    run(context, options, async ({ service }) => {
      const rollout = await load(service, id);
      const waits = rollout.waits.map((wait) => `  ${wait}`);
      return { json: rollout, lines: [...describeRollout(rollout), ...progressOf(rollout), ...waits] };
    }),
  );
}

function load(service: ServiceClient, id: string): Promise<RolloutView> {
  return service.get<RolloutView>(`/rollouts/${encodeURIComponent(id)}`);
}

interface Action {
  name: 'submit' | 'approve' | 'pause' | 'resume' | 'halt' | 'rollback' | 'cancel';
  description: string;
  example: string;
}

const ACTIONS: Action[] = [
  {
    name: 'submit',
    description: 'Ask for approval of a draft, or of going on after a halt',
    example: 'ready',
  },
  {
    name: 'approve',
    description: 'Approve the plan, or the gate that it waits at',
    example: 'canary looks good',
  },
  { name: 'pause', description: 'Offer nothing new; what is under way goes on', example: 'trade fair' },
  { name: 'resume', description: 'Go on; no gate is skipped', example: 'trade fair is over' },
  { name: 'halt', description: 'Stop for cause: nothing staged is activated any more', example: 'smoke' },
  {
    name: 'rollback',
    description: 'Halt, and send every charger that took the release back to its signed fallback',
    example: 'sessions fail',
  },
  { name: 'cancel', description: 'End it before it runs', example: 'wrong version' },
];

function actionCommand(context: CommandContext, { name, description, example }: Action): Command {
  return newCommand(`${name} <id>`, description, [`rollout ${name} r-20261122-ab12cd --reason "${example}"`])
    .requiredOption('--reason <text>', 'why; for the audit log')
    .action((id: string, { reason, ...options }: CommonOptions & { reason: string }) =>
      run(context, options, async ({ service }) => {
        const path = `/rollouts/${encodeURIComponent(id)}/${name}`;
        const rollout = await service.post<RolloutView>(path, { reason });
        return { json: rollout, lines: [...describeRollout(rollout), ...nextSteps(rollout)] };
      }),
    );
}
