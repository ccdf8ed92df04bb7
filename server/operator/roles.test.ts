/** Who may call what, over all routes: a new one without a line here fails. Design §8.11 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/postgres.ts';
import { PERMISSIONS } from '../identity/index.ts';
import { digest } from '../publishing/desk.fixture.ts';
import { OPERATOR_ROUTES } from './index.ts';
import { TestService } from './service.fixture.ts';

let service: TestService;
beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

const everyone = 'admin release-engineer operator viewer';
const fleet = 'admin operator';
const releases = 'admin release-engineer';
const TABLE: Record<string, string> = {
  'get /whoami': everyone,
  'get /operators': 'admin',
  'post /operators': 'admin',
  'post /operators/:name/revoke': 'admin',
  'post /operators/:name/confirm': fleet,
  'get /audit': everyone,
  'get /audit/verify': everyone,
  'get /sites': everyone,
  'post /sites': fleet,
  'get /fleet': everyone,
  'get /fleet/:serial': everyone,
  'post /fleet/tokens': fleet,
  'post /fleet/adopt': fleet,
  'post /fleet/:serial/retire': fleet,
  'post /fleet/:serial/replace': fleet,
  'get /products': everyone,
  'get /releases': everyone,
  'get /releases/:product/:version': everyone,
  'get /rollouts': everyone,
  'post /rollouts': fleet,
  'get /rollouts/:id': everyone,
  'get /rollouts/:id/assignments': everyone,
  'get /rollouts/:id/why': everyone,
  'get /rollouts/:id/events': everyone,
  'post /rollouts/:id/submit': fleet,
  'post /rollouts/:id/approve': fleet,
  'post /rollouts/:id/pause': fleet,
  'post /rollouts/:id/resume': fleet,
  'post /rollouts/:id/halt': fleet,
  'post /rollouts/:id/rollback': fleet,
  'post /rollouts/:id/cancel': fleet,
  'get /repository': everyone,
  'get /alarms': everyone,
  'get /repository/collectable': releases,
  'post /repository/collect': releases,
  'get /repository/take-over': releases,
  'post /repository/take-over': 'admin',
  'get /uploads/:sha256': releases,
  'put /uploads/:sha256': releases,
  'post /publications': releases,
  'get /openapi.json': everyone,
};
const people = { admin: 'root', 'release-engineer': 'erin', operator: 'alice', viewer: 'vera' };

test('every route is in the table', () => {
  const routes = OPERATOR_ROUTES.map(({ method, path }) => `${method} ${path}`);
  expect(routes.sort()).toEqual(Object.keys(TABLE).sort());
});

test('every permission guards a route', () => {
  const used = new Set(OPERATOR_ROUTES.map(({ permission }) => permission));
  expect([...used].sort()).toEqual(Object.keys(PERMISSIONS).sort());
});

test.each(Object.entries(TABLE))('%s: %s', async (route, roles) => {
  const [method = '', path = ''] = route.split(' ');
  // Names that exist nowhere: who is let past meets a 404 or a 400, and changes nothing.
  const url = path.replace(':id', 'r-20200101-abcdef').replace(/:(name|serial|product|version)/g, 'nobody');
  const options = method === 'post' ? { body: {} } : {};
  const ask = (who?: string) =>
    service.request(who, method.toUpperCase(), url.replace(':sha256', digest('x')), options);
  expect((await ask()).body.code).toBe('CREDENTIAL_MISSING');
  for (const [role, who] of Object.entries(people)) {
    const { status, body } = await ask(who);
    const denied = status === 403 && body.code === 'PERMISSION_DENIED';
    expect([role, denied]).toEqual([role, !roles.split(' ').includes(role)]);
  }
});
