/** The credential file says where the service is, whom it belongs to, and which CA to believe. Nothing else says who acts. */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { type CommandContext, CommandError, EXIT } from './context.ts';

const Credential = z.object({
  service: z.url({ protocol: /^https$/ }),
  /** PEM; no other CA is believed. Empty before the first start of the service, which makes it. */
  ca: z.string(),
  organisation: z.string(),
  name: z.string(),
  credential: z.string().regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/),
});

export type Credential = z.infer<typeof Credential>;

/**
 * Reads `--credential FILE`, else the file that `TIDEGATE_CREDENTIAL` names.
 *
 * @throws CommandError with exit code 2: `CREDENTIAL_MISSING`, `CREDENTIAL_MALFORMED`, `CREDENTIAL_EXPOSED`; with 3: `SERVICE_NOT_STARTED`
 */
export async function loadCredential(
  context: CommandContext,
  option: string | undefined,
): Promise<Credential> {
  const named = option ?? context.env['TIDEGATE_CREDENTIAL'];
  if (named === undefined || named === '') {
    throw new CommandError(
      EXIT.usage,
      'CREDENTIAL_MISSING',
      'No credential. Set TIDEGATE_CREDENTIAL to your credential file (e.g. .tidegate/credentials/<you>.json) or give --credential FILE.',
    );
  }
  const path = resolve(context.cwd, named);
  const credential = parse(path, await readPrivate(path));
  if (credential.ca !== '') return credential;
  throw new CommandError(
    EXIT.unreachable,
    'SERVICE_NOT_STARTED',
    `${path} knows no service yet: its first start makes the CA. Run "tidegate start", then try again.`,
  );
}

function parse(path: string, text: string): Credential {
  try {
    return Credential.parse(JSON.parse(text));
  } catch (error) {
    throw new CommandError(
      EXIT.usage,
      'CREDENTIAL_MALFORMED',
      `${path} is no credential file. Use the one that "tidegate init" or "tidegate operator add" wrote.`,
      { cause: error },
    );
  }
}

async function readPrivate(path: string): Promise<string> {
  try {
    const { mode } = await stat(path);
    // Whoever reads the file is the operator: as with SSH keys, others must not be able to.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new CommandError(
        EXIT.usage,
        'CREDENTIAL_EXPOSED',
        `Others can read ${path}. Run: chmod 600 '${path}'`,
      );
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(EXIT.usage, 'CREDENTIAL_MISSING', `${path} cannot be read. Check the path.`, {
      cause: error,
    });
  }
}
