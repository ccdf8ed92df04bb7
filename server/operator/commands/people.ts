import { mkdir, open, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { homeOf } from '@tidegate/signer/commands';
import { CommandError, type CommandContext, EXIT } from './context.ts';
import { collect, wholeNumber } from './options.ts';
import { allPages } from './pages.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { table, when } from './table.ts';

export function operatorCommand(context: CommandContext): Command {
  type Options = CommonOptions & { role: string[]; out?: string; reason: string };
  const add = newCommand('add <name>', 'Add an operator and write their credential file', [
    'operator add dora --role operator --reason "new in the night shift"',
  ])
    .requiredOption(
      '--role <role>',
      'admin, release-engineer, operator or viewer; may be repeated',
      collect,
      [],
    )
    .option(
      '--out <file>',
      'where the credential goes (default: credentials/<name>.json in the state directory)',
    )
    .requiredOption('--reason <text>', 'why; for the audit log')
    .action((name: string, { role: roles, out, reason, ...options }: Options) =>
      run(context, options, async ({ service, credential }) => {
        const path =
          out === undefined ? join(homeOf(context).credentials, `${name}.json`) : resolve(context.cwd, out);
        // Opened first: a credential that cannot be kept must not be made.
        const file = await openNew(path);
        try {
          const made = await service.post<{ credential: string }>('/operators', { name, roles, reason });
          await file.writeFile(
            `${JSON.stringify({ ...credential, name, credential: made.credential }, null, 2)}\n`,
          );
        } catch (error) {
          await rm(path);
          throw error;
        } finally {
          await file.close();
        }
        return {
          json: { name, roles, file: path },
          lines: [
            `Added ${name} (${roles.join(', ')}).`,
            `Hand over ${path}; the secret is nowhere else.`,
            `Until somebody whom you did not add confirms it (tidegate operator confirm ${name}), an approval by ${name} counts as yours.`,
          ],
        };
      }),
    );
  const list = newCommand('list', 'List operators', ['operator list']).action((options: CommonOptions) =>
    run(context, options, async ({ service }) => {
      const { items } = await service.get<{
        items: {
          name: string;
          roles: string[];
          createdAt: string;
          revokedAt: string | null;
          countsAs: string;
        }[];
      }>('/operators');
      const rows = items.map((one) => [
        one.name,
        one.roles.join(', '),
        when(one.createdAt),
        when(one.revokedAt),
        one.countsAs,
      ]);
      const head = ['NAME', 'ROLES', 'ADDED', 'REVOKED', 'COUNTS AS'];
      return { json: { operators: items }, lines: table(head, rows) };
    }),
  );
  const revoke = newCommand('revoke <name>', "Refuse an operator's credential from now on", [
    'operator revoke dora --reason "left the company"',
  ])
    .requiredOption('--reason <text>', 'why; for the audit log')
    .action((name: string, { reason, ...options }: CommonOptions & { reason: string }) =>
      run(context, options, async ({ service }) => {
        const done = await service.post(`/operators/${encodeURIComponent(name)}/revoke`, { reason });
        return { json: done, lines: [`${name}'s credential is refused from now on.`] };
      }),
    );
  const confirm = newCommand('confirm <name>', 'Confirm that an added operator is a person of their own', [
    'operator confirm dora --reason "met her"',
  ])
    .requiredOption('--reason <text>', 'how you know; for the audit log')
    .action((name: string, { reason, ...options }: CommonOptions & { reason: string }) =>
      run(context, options, async ({ service }) => {
        const done = await service.post(`/operators/${encodeURIComponent(name)}/confirm`, { reason });
        return { json: done, lines: [`${name}'s approvals count as their own from now on.`] };
      }),
    );
  const group = new Command('operator').description('People and machines that may call the service');
  return group.addCommand(add).addCommand(confirm).addCommand(list).addCommand(revoke);
}

async function openNew(path: string) {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  return open(path, 'wx', 0o600).catch((cause: unknown) => {
    throw new CommandError(EXIT.failed, 'FILE_EXISTS', `${path} cannot be made; choose another with --out.`, {
      cause,
    });
  });
}

interface AuditRow {
  position: number;
  at: string;
  actor: string;
  action: string;
  subject: string;
  reason: string;
}

export function auditCommand(context: CommandContext): Command {
  type ListOptions = CommonOptions & { after: number; limit: number; subject?: string };
  const list = newCommand('list', 'List the audit log, oldest first', [
    'audit list --limit 50',
    'audit list --subject r-20261122-ab12cd',
  ])
    .option('--after <position>', 'only later entries', wholeNumber('--after'), 0)
    .option('--limit <n>', 'at most so many', wholeNumber('--limit'), 100)
    .option('--subject <text>', 'only about this')
    .action(({ after, limit, subject, ...options }: ListOptions) =>
      run(context, options, async ({ service }) => {
        const entries = await allPages<AuditRow>(service, '/audit', { after, subject }, limit);
        const rows = entries.map((row) => [
          row.position,
          when(row.at),
          row.actor,
          row.action,
          row.subject,
          row.reason,
        ]);
        return { json: { entries }, lines: table(['#', 'WHEN', 'WHO', 'WHAT', 'ABOUT', 'WHY'], rows) };
      }),
    );
  type VerifyOptions = CommonOptions & { position?: number; hash?: string };
  const verify = newCommand('verify', 'Recompute the hash chain of the audit log', [
    'audit verify',
    'audit verify --position 120 --hash 3f…   (a head that was noted earlier)',
  ])
    .option('--position <n>', 'of a head that was noted earlier', wholeNumber('--position'))
    .option('--hash <sha256>', 'of that head')
    .action(({ position, hash, ...options }: VerifyOptions) =>
      run(context, options, async ({ service }) => {
        type Verdict =
          | { ok: true; head: { position: number; hash: string } }
          | { ok: false; position: number; fault: string };
        const verdict = await service.get<Verdict>('/audit/verify', { position, hash });
        if (!verdict.ok) {
          const lines = [`The log is broken at entry ${verdict.position}: ${verdict.fault}.`];
          return { json: verdict, lines, exit: EXIT.failed };
        }
        const { head } = verdict;
        return {
          json: verdict,
          lines: [
            `All ${head.position} entries hold together.`,
            `Note this head elsewhere: --position ${head.position} --hash ${head.hash}`,
          ],
        };
      }),
    );
  return new Command('audit')
    .description('What was done, by whom, and why')
    .addCommand(list)
    .addCommand(verify);
}
