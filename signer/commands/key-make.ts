/** New keys: a person's own, and the service's. */
import { rename } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import {
  generateKey,
  hintOf,
  openKeyFile,
  passphraseIn,
  peekKeyFile,
  type PrivateKey,
  type PublicKey,
  type Scheme,
  writeKeyFile,
} from '../keys/index.ts';
import { authorityOf, digits, type ServiceKeys } from '../ceremony/index.ts';
import { writeWhole } from '../whole-file.ts';
import { askSecret } from './ask.ts';
import { newPassphrase, writePassphrase } from './ceremony.ts';
import type { CommandContext } from './context.ts';
import { CommandError } from './errors.ts';
import { ownState } from './ceremony-files.ts';
import { exists, type Home, homeOf } from './home.ts';
import { invalidOption } from './options.ts';
import { encodeServiceKeys } from './public-keys.ts';
import { report, type Result } from './result.ts';

const KINDS: Record<string, Scheme> = { ed25519: 'ed25519', p256: 'ecdsa-sha2-nistp256' };
const ONLINE = ['snapshot', 'timestamp', 'director'] as const;
type Online = (typeof ONLINE)[number];

export function keyCreateCommand(context: CommandContext): Command {
  return new Command('create')
    .description('Make a key of your own, encrypted with your passphrase, and its public half to hand over')
    .argument('<file>', 'where to keep it, e.g. ann.key.json; the public half goes beside it as ann.pub')
    .option('--kind <kind>', 'ed25519 or p256', 'ed25519')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
The passphrase comes from TIDEGATE_PASSPHRASE; on a terminal it is asked for. It is stored nowhere: without it the key is lost.

Examples:
  $ tidegate key create ann.key.json
  $ tidegate key create /media/stick/ann.key.json --kind p256`,
    )
    .action((file: string, options: { kind: string; json?: boolean }) =>
      report(context, options, () => create(context, file, options.kind)),
    );
}

export function keyServiceCommand(context: CommandContext): Command {
  return new Command('service')
    .description(
      "Make the service's own keys, on the machine where it runs, and their public halves to hand over",
    )
    .option('--out <file>', 'where the public halves go', 'service.pub.json')
    .option('--next <role>', 'make only a successor of one: snapshot, timestamp or director')
    .option(
      '--switch <role>',
      'put the successor in the place of the one in use; restart the service after it',
    )
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
The keys lie in service/online with their passphrase beside them, because the service starts without a person. None of them makes firmware valid.
A key is changed in three steps, so that chargers always find one that counts:
  1. --next, and a ceremony that adds the new key beside the old one (--add-online-key, for the director --add-director); publish it.
  2. --switch, and restart the service.
  3. a ceremony that takes the old one away (--remove-online-key, for the director --retire-director); publish it.

Examples:
  $ tidegate key service
  $ tidegate key service --next snapshot --out snapshot.pub
  $ tidegate key service --switch snapshot`,
    )
    .action((options: { out: string; next?: string; switch?: string; json?: boolean }) =>
      report(context, options, () => service(context, options)),
    );
}

async function create(context: CommandContext, file: string, kindName: string): Promise<Result> {
  const scheme = Object.hasOwn(KINDS, kindName) ? KINDS[kindName] : undefined;
  if (scheme === undefined) throw invalidOption('--kind', kindName, 'ed25519 or p256');
  const path = resolve(context.cwd, file);
  const publicFile = `${path.replace(/(\.key)?\.json$/, '')}.pub`;
  if (await exists(publicFile)) throw new CommandError('FILE_EXISTS', publicFile);
  const key = generateKey(scheme);
  await write(context, path, key, await newPassphraseOf(context));
  await writeWhole(publicFile, key.publicKey, { exclusive: true });
  return {
    json: { keyId: key.keyId, scheme, file: path, publicFile, publicKey: key.publicKey },
    lines: [
      `Made ${path}. Keep it and its passphrase to yourself, and a copy of it somewhere else.`,
      `  key ${digits(key.keyId)}; read these digits out when somebody asks for your key`,
      `  as the key of a build it is called ${hintOf(key.publicKey).slice(0, 8)}`,
      `Hand over ${publicFile}: it is not secret.`,
    ],
  };
}

async function newPassphraseOf(context: CommandContext): Promise<string> {
  const given = context.env['TIDEGATE_PASSPHRASE'];
  if (given || !context.tty) return given ?? '';
  const passphrase = await askSecret(context, 'Passphrase for the new key: ');
  if ((await askSecret(context, 'The same again: ')) !== passphrase)
    throw new CommandError('PASSPHRASES_DIFFER', 'Passphrase');
  return passphrase;
}

async function service(
  context: CommandContext,
  options: { out: string; next?: string; switch?: string },
): Promise<Result> {
  const online = join(homeOf(context).service, 'online');
  if (options.switch !== undefined) return switchKey(context, onlineRole('--switch', options.switch));
  const out = resolve(context.cwd, options.out);
  if (options.next !== undefined) return nextKey(context, online, onlineRole('--next', options.next), out);
  const passphrase = await onlinePassphrase(online);
  // A key that an interrupted try has left is used.
  const keys = Object.fromEntries(
    await Promise.all(
      ONLINE.map(async (role) => {
        const path = keyPath(online, role);
        if (await exists(path)) return [role, await openKeyFile(path, passphrase)] as const;
        const key = generateKey('ed25519');
        await write(context, path, key, passphrase);
        return [role, key] as const;
      }),
    ),
  ) as unknown as ServiceKeys;
  await writeWhole(out, encodeServiceKeys(keys));
  return {
    json: {
      folder: online,
      publicFile: out,
      keys: ONLINE.map((role) => ({ role, keyId: keys[role].keyId })),
    },
    lines: [
      `Made the service's keys in ${online}.`,
      ...ONLINE.map((role) => `  ${role.padEnd(9)} key ${keys[role].keyId.slice(0, 8)}`),
      `Hand over ${out}: it is not secret. Next: tidegate ceremony start FILE --new … --service-keys ${options.out}`,
    ],
  };
}

async function nextKey(context: CommandContext, online: string, role: Online, out: string): Promise<Result> {
  const path = keyPath(online, role, '.next');
  // One that an interrupted try has left is handed over again, and never replaced: a ceremony may name it already.
  const key = (await exists(path)) ? await peekKeyFile(path) : generateKey('ed25519');
  if (!(await exists(path))) {
    await write(context, path, key as PrivateKey, await onlinePassphrase(online));
  }
  await writeWhole(out, key.publicKey);
  const ceremony =
    role === 'director'
      ? `--add-director ${out} (or --stolen-director ${out}, where the one in use was stolen)`
      : `--add-online-key ${role}=${out}`;
  return {
    json: { role, keyId: key.keyId, publicFile: out, publicKey: key.publicKey },
    lines: [
      `The next ${role} key is ${key.keyId.slice(0, 8)}. The service goes on with the one that it has.`,
      `Next: tidegate ceremony start FILE ${ceremony}`,
    ],
  };
}

async function switchKey(context: CommandContext, role: Online): Promise<Result> {
  const home = homeOf(context);
  const online = join(home.service, 'online');
  if (!(await exists(keyPath(online, role, '.next')))) throw new CommandError('SUCCESSOR_MISSING', role);
  const next = await peekKeyFile(keyPath(online, role, '.next'));
  await requireNamed(home, role, next);
  const before: PublicKey = await peekKeyFile(keyPath(online, role));
  await rename(keyPath(online, role), keyPath(online, role, `.${before.keyId.slice(0, 8)}`));
  await rename(keyPath(online, role, '.next'), keyPath(online, role));
  const ceremony =
    role === 'director'
      ? `--retire-director ${before.keyId.slice(0, 8)}`
      : `--remove-online-key ${role}=${before.keyId.slice(0, 8)}`;
  return {
    json: { role, keyId: next.keyId, before: before.keyId },
    lines: [
      `The service signs with ${role} key ${next.keyId.slice(0, 8)} from its next start on. Restart it now.`,
      `Then, unless a ceremony has taken the old one away already: tidegate ceremony start FILE ${ceremony}`,
    ],
  };
}

/** A service that signs with a key which nobody has named is believed by no charger. Only where the documents are here can that be seen. */
async function requireNamed(home: Home, role: Online, { keyId }: PublicKey): Promise<void> {
  const own = await ownState(home);
  if (own === undefined) return;
  const { roles, policy } = authorityOf(own);
  const named =
    role === 'director'
      ? Object.values(policy.directors).flatMap(({ keys }) =>
          keys.flatMap((key) => (key.state === 'active' ? key.keyId : [])),
        )
      : (roles.get(role)?.keyids ?? []);
  if (!named.includes(keyId)) throw new CommandError('SUCCESSOR_UNNAMED', `${role} key ${keyId.slice(0, 8)}`);
}

function keyPath(online: string, role: Online, infix = ''): string {
  return join(online, `${role}${infix}.key.json`);
}

function onlineRole(option: string, text: string): Online {
  const role = ONLINE.find((known) => known === text);
  if (role === undefined) throw invalidOption(option, text, ONLINE.join(', '));
  return role;
}

async function onlinePassphrase(folder: string): Promise<string> {
  const kept = await passphraseIn(folder);
  if (kept !== '') return kept;
  const made = newPassphrase();
  await writePassphrase(folder, made);
  return made;
}

async function write(
  context: CommandContext,
  path: string,
  key: PrivateKey,
  passphrase: string,
): Promise<void> {
  await writeKeyFile(
    path,
    key,
    passphrase,
    context.scryptCost === undefined ? {} : { cost: context.scryptCost },
  );
  // A key that does not open again would be found out on the day it is needed.
  await openKeyFile(path, passphrase);
}
