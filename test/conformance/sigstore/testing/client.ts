/** The client under test: each question is asked with the artifact's file and with its digest alone, in this process. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createHash, type KeyObject } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sigstoreClient } from '../client.ts';
import { ARTIFACT, IDENTITY, ISSUER } from './instance.ts';

export interface Asked {
  bundle: unknown;
  trustedRoot?: unknown;
  artifact?: Buffer;
  identity?: string;
  issuer?: string;
  key?: KeyObject;
  more?: string[];
}

export class ClientUnderTest {
  readonly folder: string;
  said = '';

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async start(): Promise<ClientUnderTest> {
    return new ClientUnderTest(await mkdtemp(path.join(tmpdir(), 'tidegate-sigstore-')));
  }

  stop(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }

  /** @returns exit codes with the file and with the digest; a key that signs no digest is asked about the file only. */
  async verify(asked: Asked): Promise<number[]> {
    const artifact = asked.artifact ?? ARTIFACT;
    const file = await this.file('artifact', artifact);
    const digest = `sha256:${createHash('sha256').update(artifact).digest('hex')}`;
    const args = await this.args(asked);
    const names = asked.key?.asymmetricKeyType === 'ed25519' ? [file] : [file, digest];
    const codes: number[] = [];
    for (const name of names) codes.push(await this.run([...args, name]));
    return codes;
  }

  async args({ bundle, trustedRoot, identity, issuer, key, more = [] }: Asked): Promise<string[]> {
    const root =
      trustedRoot === undefined ? [] : ['--trusted-root', await this.file('root.json', trustedRoot)];
    const pem = key?.export({ format: 'pem', type: 'spki' }).toString();
    const signer =
      pem === undefined
        ? ['--certificate-identity', identity ?? IDENTITY, '--certificate-oidc-issuer', issuer ?? ISSUER]
        : ['--key', await this.file('key.pub', Buffer.from(pem))];
    return ['verify-bundle', '--bundle', await this.file('bundle.json', bundle), ...signer, ...root, ...more];
  }

  run(args: string[]): Promise<number> {
    this.said = '';
    return sigstoreClient(args, { err: (line) => (this.said += line) });
  }

  async file(name: string, content: unknown): Promise<string> {
    const file = path.join(this.folder, name);
    await writeFile(file, Buffer.isBuffer(content) ? content : JSON.stringify(content));
    return file;
  }
}
