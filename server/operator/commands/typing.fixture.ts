/** The commands as people type them, over HTTPS, against the real API, database and repository; for tests. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { sql } from 'kysely';
import { signerCommands } from '@tidegate/signer/commands';
import { openKeyFile, type Signer } from '@tidegate/signer/keys';
import { fileBlobs } from '@tidegate/signer/repository';
import type { Db } from '../../db/index.ts';
import { PRODUCT } from '../../publishing/desk.fixture.ts';
import { bootstrapRepository, type PublishingDeps } from '../../publishing/index.ts';
import { TestService } from '../service.fixture.ts';
import { type CommandContext, operatorCommands } from './index.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');

/** Of an engineer, in the folder of the desk. */
export const keyFile = (who: string): string => `.tidegate/keys/${who}/${PRODUCT}.key.json`;

export interface Ran {
  exit: number;
  out: string[];
  err: string[];
  drawn: string;
  json: Record<string, unknown> & { error?: { code: string; message: string; pointer?: string } };
}

/** A folder after `init` and `product add`, the service beside it, and the people of `TestService`. */
export class Typing {
  readonly home: string;
  readonly service: TestService;
  readonly tls: { url: string; ca: string };
  /** Credential files by name. */
  readonly files = new Map<string, string>();
  /** Further variables of the environment. */
  readonly env: Record<string, string> = {};

  private constructor(home: string, service: TestService, tls: Typing['tls']) {
    this.home = home;
    this.service = service;
    this.tls = tls;
  }

  /** @param db empty */
  static async open(db: Db): Promise<Typing> {
    const home = await mkdtemp(join(tmpdir(), 'tidegate commands '));
    const desk = { home, files: new Map<string, string>(), env: {} };
    await type(desk, signerCommands, undefined, ['init']);
    await type(desk, signerCommands, undefined, ['product', 'add', PRODUCT, '--hardware', 'dc150-r2']);
    const service = await TestService.start(db, (opened) => openHome(home, opened));
    const typing = new Typing(home, service, await service.listenTls());
    for (const who of ['root', 'erin', 'alice', 'bob', 'vera']) {
      typing.files.set(who, await service.credentialFile(who, typing.tls));
    }
    return typing;
  }

  /** `tidegate …args` at the signing desk. */
  signer(...args: string[]): Promise<Ran> {
    return type(this, signerCommands, undefined, args);
  }

  /** A new image of the product, attested, proposed by erin; frank has still to cosign it. */
  async propose(version: string, ...more: string[]): Promise<void> {
    const image = `fw-${version}.img`;
    await writeFile(join(this.home, image), `firmware ${version}`);
    const hardware = ['--hardware', 'dc150-r2', '--security-version', '1'];
    const what = ['--product', PRODUCT, '--version', version, ...hardware];
    await this.signer('sign', image, ...what);
    const files = [image, '--bundle', `${image}.sigstore.json`, '--key', keyFile('erin')];
    const proposed = await this.signer('release', 'propose', ...files, ...what, ...more);
    if (proposed.exit !== 0 || proposed.err.length > 0) throw new Error(proposed.err.join('\n'));
  }

  async cosign(): Promise<void> {
    const cosigned = await this.signer('release', 'cosign', '--key', keyFile('frank'));
    if (cosigned.exit !== 0 || cosigned.err.length > 0) throw new Error(cosigned.err.join('\n'));
  }

  /** `tidegate …args --json` as `who`. */
  run(who: string | undefined, ...args: string[]): Promise<Ran> {
    return type(this, operatorCommands, who, [...args, '--json']);
  }

  /** The same as a person reads it. */
  say(who: string | undefined, ...args: string[]): Promise<Ran> {
    return type(this, operatorCommands, who, args);
  }

  /** The same on a terminal. */
  watch(who: string, ...args: string[]): Promise<Ran> {
    return type(this, operatorCommands, who, args, true);
  }

  /** Rows of every table, and the digest of every file of the service and of the desk: what a refusal leaves alone. */
  async state(): Promise<{ rows: Record<string, unknown>; files: Record<string, string> }> {
    const { db } = this.service;
    const tables = await sql<{ name: string }>`
      select table_name as name from information_schema.tables where table_schema = 'public' order by 1`.execute(
      db,
    );
    const rows: Record<string, unknown> = {};
    for (const { name } of tables.rows) {
      const { rows: all } = await sql`select to_jsonb(t) as row from ${sql.table(name)} t order by 1`.execute(
        db,
      );
      rows[name] = all;
    }
    const files: Record<string, string> = {};
    const folder = join(this.home, '.tidegate');
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      files[path] = createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    }
    return { rows, files };
  }

  async close(): Promise<void> {
    await this.service.stop();
    await rm(this.home, { recursive: true, force: true });
  }
}

/** The repository as `tidegate init` left it, taken at its first start. */
async function openHome(home: string, db: Db): Promise<PublishingDeps> {
  const folder = join(home, '.tidegate', 'service');
  const passphrase = (await readFile(join(folder, 'online', 'passphrase'), 'utf8')).trim();
  const key = (name: string): Promise<Signer> =>
    openKeyFile(join(folder, 'online', `${name}.key.json`), passphrase);
  const deps: PublishingDeps = {
    organisation: 'acme',
    db,
    blobs: fileBlobs(join(folder, 'tuf')),
    staging: join(folder, 'staging'),
    keys: { snapshot: await key('snapshot'), timestamp: await key('timestamp') },
    clock: { now: () => NOW, sleep: () => Promise.resolve() },
  };
  await bootstrapRepository(deps, join(folder, 'initial'));
  return deps;
}

async function type(
  { home, files, env }: Pick<Typing, 'home' | 'files' | 'env'>,
  commands: (context: CommandContext) => Command[],
  who: string | undefined,
  args: string[],
  tty = false,
): Promise<Ran> {
  const ran: Ran = { exit: 0, out: [], err: [], drawn: '', json: {} };
  const context: CommandContext = {
    out: (line) => ran.out.push(line),
    err: (line) => ran.err.push(line),
    json: false,
    env: { ...env, ...(who === undefined ? {} : { TIDEGATE_CREDENTIAL: files.get(who) }) },
    cwd: home,
    tty,
    exit: (code) => (ran.exit = code),
    terminal: {
      write: (drawn) => (ran.drawn += drawn),
      size: () => ({ columns: 60, rows: 24 }),
      onResize: () => () => undefined,
    },
    clock: { now: () => NOW, sleep: () => Promise.resolve() },
    scryptCost: { N: 16, r: 1, p: 1 },
  };
  const program = new Command('tidegate');
  for (const command of commands(context)) program.addCommand(command);
  quiet(program, ran);
  await program.parseAsync(args, { from: 'user' }).catch((error: unknown) => {
    if (!(error instanceof CommanderError)) throw error;
    ran.exit = error.exitCode === 0 ? 0 : 2;
  });
  if (args.includes('--json')) ran.json = answerOf(ran.out, args.includes('watch'));
  return ran;
}

/** One JSON document; `watch` writes one a line, of which the last counts. */
function answerOf(out: string[], many: boolean): Ran['json'] {
  if (!many && out.length !== 1) throw new Error(`Not one JSON document: ${out.join('\n')}`);
  const documents = out.map((line) => JSON.parse(line) as Ran['json']);
  return documents.at(-1) ?? {};
}

function quiet(command: Command, ran: Ran): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => ran.out.push(text),
    writeErr: (text) => ran.err.push(text),
  });
  for (const subcommand of command.commands) quiet(subcommand, ran);
}
