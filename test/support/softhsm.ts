/** A real PKCS#11 token of one's own for a test file: Debian's SoftHSM 2, filled through OpenSC's pkcs11-tool. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scheme } from '@tidegate/signer/keys';

const MODULE = [
  '/usr/lib/softhsm/libsofthsm2.so',
  `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/softhsm/libsofthsm2.so`,
].find((path) => existsSync(path));

export const PIN = '70461982';

/** Why there is none, or undefined. With CI=true its absence is a failure, not a skip. */
export const WITHOUT_SOFTHSM: string | undefined =
  MODULE !== undefined &&
  spawnSync('softhsm2-util', ['--version']).status === 0 &&
  spawnSync('pkcs11-tool', ['--list-slots', '--module', MODULE]).error === undefined
    ? undefined
    : 'softhsm2 or opensc is not installed (apt-get install softhsm2 opensc)';

export interface TestToken {
  module: string;
  label: string;
  /** What the token's library and Tidegate need; the PIN among it. */
  env: Record<string, string>;
  /** Makes a key pair in the token. @param id hex */
  addKey(scheme: Scheme, label: string, id: string): void;
  /** Calls pkcs11-tool on this token, logged in. */
  tool(...args: string[]): string;
  serial(): string;
  /** A second token beside it. */
  addToken(label: string): void;
  close(): Promise<void>;
}

export async function testToken(label = 'tidegate test'): Promise<TestToken> {
  const module = MODULE ?? '';
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-softhsm-'));
  await mkdir(join(folder, 'tokens'));
  const config = join(folder, 'softhsm2.conf');
  await writeFile(config, `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\n`);
  const env = { SOFTHSM2_CONF: config, TIDEGATE_PKCS11_PIN: PIN };
  const call = (program: string, args: string[]) => {
    const { status, stdout, stderr } = spawnSync(program, args, {
      env: { ...process.env, ...env },
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${program} ${args[0]}: ${stderr}`);
    return stdout;
  };
  const addToken = (name: string) =>
    void call('softhsm2-util', ['--init-token', '--free', '--label', name, '--so-pin', PIN, '--pin', PIN]);
  const tool = (...args: string[]) =>
    call('pkcs11-tool', ['--module', module, '--token-label', label, '--login', '--pin', PIN, ...args]);
  addToken(label);
  return {
    module,
    label,
    env: { ...(process.env as Record<string, string>), ...env },
    addKey(scheme, name, id) {
      const type = scheme === 'ed25519' ? 'EC:edwards25519' : 'EC:prime256v1';
      tool('--keypairgen', '--key-type', type, '--label', name, '--id', id, '--usage-sign');
    },
    tool,
    serial: () =>
      /serial num +: (\w+)/.exec(call('pkcs11-tool', ['--module', module, '--list-token-slots']))?.[1] ?? '',
    addToken,
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
