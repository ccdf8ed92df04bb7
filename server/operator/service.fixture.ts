/** The operator API on a real port over a real database and repository, for tests. Over HTTP for raw requests, over HTTPS for the commands. */
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express from 'express';
import { systemClock } from '@tidegate/client-sdk/agent/clock';
import { cohortKey } from '@tidegate/rollout/core';
import type { RolloutRef } from '@tidegate/rollout/shell';
import { alarmsOf, factsOf, type FactsDeps, type Now, rolloutLifetimes } from '../alarms/index.ts';
import { type Db, PgRolloutStore } from '../db/index.ts';
import { notFound, problemHandler } from '../http/index.ts';
import {
  bootstrapOperators,
  DeviceAuthority,
  newCredential,
  type Role,
  secretSha256,
  writeCredential,
} from '../identity/index.ts';
import { Desk, PRODUCT } from '../publishing/desk.fixture.ts';
import type { PublishingDeps } from '../publishing/index.ts';
import { type OperatorDeps, operatorRouter } from './index.ts';

export interface Answer {
  status: number;
  headers: Headers;
  // Tests read answers as a script would.
  body: Record<string, unknown> & { code?: string; items?: Record<string, unknown>[] };
}

export class TestService {
  readonly desk: Desk;
  readonly db: Db;
  readonly deps: OperatorDeps;
  readonly origin: string;
  /** Rollouts that the doorbell was rung for. */
  readonly rung: RolloutRef[] = [];
  /** Errors that were the service's own fault. */
  readonly faults: unknown[] = [];
  readonly #credentials = new Map<string, string>();
  readonly #servers: Server[] = [];
  readonly #app = express();
  readonly #facts: FactsDeps;

  private constructor(desk: Desk, publishing: PublishingDeps) {
    this.desk = desk;
    this.db = desk.deps.db;
    this.origin = '';
    this.#facts = {
      db: this.db,
      blobs: publishing.blobs,
      clock: desk.clock,
      wall: desk.clock,
      certificates: () => [],
      refreshFailure: () => undefined,
    };
    const facts = factsOf(this.#facts);
    this.deps = {
      db: this.db,
      store: new PgRolloutStore(this.db, desk.clock),
      doorbell: {
        ring: (ref) => Promise.resolve(void this.rung.push(ref)),
        listen: () => Promise.resolve(),
        close: () => Promise.resolve(),
      },
      clock: desk.clock,
      publishing,
      alarms: async (organisation) => alarmsOf(await facts(organisation), this.#now()),
      lifetimes: rolloutLifetimes(this.#facts),
    };
    this.#app.set('query parser', 'simple');
    this.#app.use('/operator/v1', operatorRouter(this.deps), notFound);
    this.#app.use(problemHandler((error) => this.faults.push(error)));
  }

  /**
   * `erin` makes releases, `alice` (also admin) and `bob` run the fleet, `vera` looks on.
   * @param open makes another repository than the desk's.
   */
  static async start(db: Db, open?: (db: Db) => Promise<PublishingDeps>): Promise<TestService> {
    const desk = await Desk.open(db);
    const publishing = await open?.(db);
    if (publishing === undefined) await desk.bootstrap();
    const service = new TestService(desk, publishing ?? desk.deps);
    const people: [string, Role[]][] = [
      ['root', ['admin']],
      ['erin', ['release-engineer']],
      ['alice', ['operator']],
      ['bob', ['operator']],
      ['vera', ['viewer']],
    ];
    for (const [name, roles] of people) await service.addPerson('acme', name, roles);
    const origin = await service.#listen(createServer(service.#app), 'http');
    return Object.assign(service, { origin });
  }

  #now(): Now {
    const time = this.desk.clock.now();
    return { fleet: time, wall: time };
  }

  /** Somebody whom `operators.json` lists, and who therefore counts as themselves. */
  async addPerson(organisation: string, name: string, roles: Role[]): Promise<void> {
    const credential = newCredential();
    const secretHash = secretSha256(credential.secret).toString('hex');
    const entry = { name, roles, credentialId: credential.id, secretSha256: secretHash };
    await bootstrapOperators(this.db, organisation, [entry], new Date(this.desk.clock.time));
    this.keep(organisation === 'acme' ? name : `${name}@${organisation}`, writeCredential(credential));
  }

  /** Lets `who` call with a credential that was made otherwise. */
  keep(who: string, credential: string): void {
    this.#credentials.set(who, credential);
  }

  credentialOf(name: string): string {
    return this.#credentials.get(name) ?? '';
  }

  /** Writes a person's credential file for the commands and returns its path. */
  async credentialFile(name: string, tls: { url: string; ca: string }): Promise<string> {
    const path = join(this.desk.folder, 'credentials', `${name}.json`);
    await mkdir(join(this.desk.folder, 'credentials'), { recursive: true });
    const { url: service, ca } = tls;
    const file = { service, ca, organisation: 'acme', name, credential: this.credentialOf(name) };
    await writeFile(path, JSON.stringify(file), { mode: 0o600 });
    return path;
  }

  async listenTls(): Promise<{ url: string; ca: string }> {
    const authority = await DeviceAuthority.open(join(this.desk.folder, 'ca'), systemClock);
    const issued = await authority.issueServer({ dns: ['localhost'], ip: ['127.0.0.1'] });
    const server = createTlsServer({ cert: issued.certificate, key: issued.key }, this.#app);
    return { url: await this.#listen(server, 'https'), ca: authority.certificate };
  }

  async #listen(server: Server, scheme: string): Promise<string> {
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `${scheme}://localhost:${(server.address() as AddressInfo).port}`;
  }

  async request(
    who: string | undefined,
    method: string,
    path: string,
    options: { body?: unknown; raw?: string | Buffer; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const headers: Record<string, string> = { ...options.headers };
    if (who !== undefined) headers['authorization'] = `Bearer ${this.credentialOf(who)}`;
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    if (body !== undefined) headers['content-type'] ??= 'application/json';
    const init = { method, headers, ...(body === undefined ? {} : { body }) } as RequestInit;
    const answer = await fetch(`${this.origin}/operator/v1${path}`, init);
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      body: text === '' ? {} : (JSON.parse(text) as Answer['body']),
    };
  }

  get(who: string, path: string): Promise<Answer> {
    return this.request(who, 'GET', path);
  }

  post(who: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(who, 'POST', path, { body, headers });
  }

  /** So many active chargers of the product at one site each four. */
  async addFleet(n: number): Promise<void> {
    const at = new Date(this.desk.clock.time);
    const base = { organisation: 'acme', product: PRODUCT, hardware: 'dc150-r2' };
    for (let site = 0; site * 4 < n; site++) {
      const row = { id: `site-${site}`, name: `Site ${site}`, type: 'depot', region: 'de' };
      await this.db
        .insertInto('sites')
        .values({ organisation: 'acme', ...row, time_zone: 'Europe/Berlin', created_at: at })
        .execute();
    }
    for (let i = 0; i < n; i++) {
      const serial = `DC-${String(i).padStart(4, '0')}`;
      const baseline = JSON.stringify({ fault: [2, 8] });
      const charger = {
        ...base,
        serial,
        site: `site-${Math.floor(i / 4)}`,
        state: 'ACTIVE' as const,
        enrolled_at: at,
        baseline,
      };
      await this.db
        .insertInto('chargers')
        .values({ ...charger, stratum: 'dc150-r2/depot/de', cohort_key: cohortKey(serial) })
        .execute();
    }
  }

  /** Rows of every table and the repository's files: what a refusal leaves alone. */
  async state(): Promise<unknown> {
    const tables = ['sites', 'chargers', 'enrolment_tokens', 'operators', 'rollouts', 'outbox'] as const;
    const rows: Record<string, unknown> = {};
    for (const table of tables) rows[table] = await this.db.selectFrom(table).selectAll().execute();
    return { rows, desk: await this.desk.state() };
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await this.desk.close();
  }
}
