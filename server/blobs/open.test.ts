/** What a store must be able to do is found out before it is used, and told with a code. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TestS3 } from '../../test/support/s3/server.ts';
import { openS3, parseLocation } from './index.ts';

let s3: TestS3;
beforeEach(async () => {
  s3 = await TestS3.start();
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  // Else the SDK asks the network for the machine's role, and reads the files of whoever runs this.
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null');
  vi.stubEnv('AWS_CONFIG_FILE', '/dev/null');
});
afterEach(async () => {
  await s3.stop();
  vi.unstubAllEnvs();
});

async function open(location: string = s3.location()): Promise<unknown> {
  const parsed = parseLocation(location);
  if ('problem' in parsed) throw new Error(parsed.problem);
  try {
    (await openS3(parsed, { attempts: 2, connectMs: 500, requestMs: 500 })).close();
    return undefined;
  } catch (error) {
    // Whatever is told, no secret is in it.
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain(s3.env['AWS_SECRET_ACCESS_KEY']);
    return error;
  }
}

test('a store that does everything is taken, and nothing is left in it', async () => {
  expect(await open()).toBeUndefined();
  expect(s3.keys()).toEqual([]);
  expect(s3.uploads).toBe(0);
  const written = s3.log.filter(({ key }) => !key.startsWith('tidegate/.check/'));
  expect(written).toEqual([]);
});

describe('a store that ignores conditions is refused', () => {
  test.each(['PutObject', 'CompleteMultipartUpload'] as const)('on %s', async (operation) => {
    s3.conditional[operation] = false;
    expect(await open()).toMatchObject({ code: 'STORE_NOT_CONDITIONAL' });
    expect(s3.keys()).toEqual([]);
    expect(s3.uploads).toBe(0);
  });

  test('or only one of the two', async () => {
    s3.ignoredCondition = 'if-match';
    expect(await open()).toMatchObject({ code: 'STORE_NOT_CONDITIONAL' });
    s3.ignoredCondition = 'if-none-match';
    expect(await open()).toMatchObject({ code: 'STORE_NOT_CONDITIONAL' });
  });

  test('or says that it knows none', async () => {
    s3.fail('PutObject', '501 NotImplemented');
    expect(await open()).toMatchObject({ code: 'STORE_NOT_CONDITIONAL' });
  });
});

test('a store that ignores ranges is refused', async () => {
  s3.ignoresRange = true;
  expect(await open()).toMatchObject({ code: 'STORE_UNFIT' });
});

test.each(['GetObject', 'PutObject', 'DeleteObject', 'AbortMultipartUpload'] as const)(
  'credentials that may not %s are told',
  async (operation) => {
    s3.denied = [operation];
    expect(await open()).toMatchObject({ code: 'STORE_DENIED' });
  },
);

test('a bucket that is not there, credentials that are wrong or missing, a store that does not answer', async () => {
  expect(await open(s3.location('x', 'other-bucket'))).toMatchObject({ code: 'STORE_NO_BUCKET' });
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another/secret');
  expect(await open()).toMatchObject({ code: 'STORE_DENIED' });
  vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
  expect(await open()).toMatchObject({ code: 'STORE_DENIED' });
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  s3.down = true;
  expect(await open()).toMatchObject({ code: 'STORE_UNREACHABLE' });
  expect(await open('s3://firmware?endpoint=http://127.0.0.1:1&region=eu')).toMatchObject({
    code: 'STORE_UNREACHABLE',
  });
});

test('an installation without the library is told what to install', async () => {
  vi.doMock('@aws-sdk/client-s3', () => {
    throw new Error('ERR_MODULE_NOT_FOUND');
  });
  vi.resetModules();
  try {
    const { openBucket } = await import('./bucket.ts');
    const location = parseLocation(s3.location());
    if ('problem' in location) throw new Error(location.problem);
    await expect(openBucket(location)).rejects.toMatchObject({ code: 'STORE_LIBRARY_MISSING' });
  } finally {
    vi.doUnmock('@aws-sdk/client-s3');
    vi.resetModules();
  }
});

test('one that takes the connection and says nothing does not hold the start up for ever', async () => {
  const mute = createServer().listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const { port } = mute.address() as AddressInfo;
  expect(await open(`s3://firmware?endpoint=http://127.0.0.1:${port}&region=eu`)).toMatchObject({
    code: 'STORE_UNREACHABLE',
  });
  mute.close();
});

describe('a location', () => {
  test('says bucket, prefix, endpoint, region and style', () => {
    const plain = { prefix: '', endpoint: undefined, region: undefined, pathStyle: false };
    expect(parseLocation('s3://fleet-images')).toEqual({ ...plain, bucket: 'fleet-images' });
    expect(parseLocation('s3://fleet.images/a/b/?region=eu-central-1')).toEqual({
      ...plain,
      bucket: 'fleet.images',
      prefix: 'a/b/',
      region: 'eu-central-1',
    });
    const endpoint = 'https://minio.example:9000';
    const own = { ...plain, bucket: 'fleet', endpoint };
    expect(parseLocation(`s3://fleet?endpoint=${endpoint}`)).toEqual({ ...own, pathStyle: true });
    expect(parseLocation(`s3://fleet?endpoint=${endpoint}&path-style=false`)).toEqual(own);
  });

  test.each([
    'fleet',
    'https://fleet',
    's3://',
    's3:///prefix',
    's3://F',
    's3://under_score',
    's3://fleet:9000',
    's3://key:hunter2@fleet',
    's3://fleet/../other',
    's3://fleet/.hidden',
    's3://fleet/a//b',
    's3://fleet/a%20b',
    's3://fleet?secret=hunter2',
    's3://fleet#x',
    's3://fleet?region=a&region=b',
    's3://fleet?region=eu%20hunter2',
    's3://fleet?endpoint=minio.example',
    's3://fleet?endpoint=ftp://minio.example',
    's3://fleet?endpoint=https://u:hunter2@minio.example',
    's3://fleet?endpoint=https://minio.example/path',
    's3://fleet?path-style=yes',
  ])('%s is none', (text) => {
    const parsed = parseLocation(text);
    expect(parsed).toHaveProperty('problem');
    expect(JSON.stringify(parsed)).not.toContain('hunter2');
  });
});
