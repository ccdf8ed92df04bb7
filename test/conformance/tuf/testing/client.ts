/** The client under test against a repository over HTTP: in this process, with the time that a test sets, or as the executable. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { tufClient } from '../client.ts';
import { NOW, type Repository } from './repository.ts';

export const EXECUTABLE = path.resolve(import.meta.dirname, '../../tuf-client');

export class ClientUnderTest {
  readonly folder: string;
  readonly #server: Server;
  now = NOW;
  /** What it said when it failed last. */
  said = '';

  private constructor(folder: string, server: Server) {
    this.folder = folder;
    this.#server = server;
  }

  static async start(repository: Repository): Promise<ClientUnderTest> {
    const folder = await mkdtemp(path.join(tmpdir(), 'tidegate-tuf-'));
    const server = createServer((request, response) => {
      const bytes = repository.answer(decodeURIComponent((request.url ?? '').slice(1)));
      if (bytes === undefined) response.writeHead(404).end();
      else response.end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ClientUnderTest(folder, server);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await rm(this.folder, { recursive: true });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get metadataDir(): string {
    return path.join(this.folder, 'metadata');
  }
  get targetDir(): string {
    return path.join(this.folder, 'targets');
  }

  async init(root: Uint8Array): Promise<number> {
    const file = path.join(this.folder, 'initial.json');
    await writeFile(file, root);
    return this.run(this.initArgs(file));
  }

  initArgs(file: string): string[] {
    return ['--metadata-dir', this.metadataDir, 'init', file];
  }

  refreshArgs(): string[] {
    return ['--metadata-url', `${this.url}/metadata/`, '--metadata-dir', this.metadataDir, 'refresh'];
  }

  downloadArgs(...names: string[]): string[] {
    const rest = ['--target-dir', this.targetDir, '--target-base-url', `${this.url}/targets/`, 'download'];
    return [...this.refreshArgs().slice(0, -1), ...names.flatMap((name) => ['--target-name', name]), ...rest];
  }

  refresh(): Promise<number> {
    return this.run(this.refreshArgs());
  }

  download(...names: string[]): Promise<number> {
    return this.run(this.downloadArgs(...names));
  }

  run(args: string[]): Promise<number> {
    this.said = '';
    return tufClient(args, { now: this.now, err: (line) => (this.said += line) });
  }

  /** The real executable, by the machine's clock. */
  async execute(args: string[]): Promise<number> {
    try {
      await promisify(execFile)(EXECUTABLE, args);
      return 0;
    } catch (error) {
      return (error as { code: number }).code;
    }
  }

  /** What it trusts, e.g. `['root 1', 'timestamp 2']`. */
  async trusted(): Promise<string[]> {
    const names = await readdir(this.metadataDir).catch(() => []);
    const versions = names
      .toSorted((a, b) => (a < b ? -1 : 1))
      .map(async (name) => {
        const raw = JSON.parse(await readFile(path.join(this.metadataDir, name), 'utf8'));
        return `${name.replace(/\.json$/, '')} ${raw.signed.version}`;
      });
    return Promise.all(versions);
  }

  trustedBytes(role: string): Promise<Buffer> {
    return readFile(path.join(this.metadataDir, `${role}.json`));
  }

  /** Contents of the artifacts, the one written first first. */
  async artifacts(): Promise<string[]> {
    const names = await readdir(this.targetDir).catch(() => []);
    const found = await Promise.all(
      names.map(async (name) => {
        const file = path.join(this.targetDir, name);
        return { at: (await stat(file, { bigint: true })).mtimeNs, text: await readFile(file, 'utf8') };
      }),
    );
    return found.sort((a, b) => (a.at < b.at ? -1 : 1)).map(({ text }) => text);
  }
}
