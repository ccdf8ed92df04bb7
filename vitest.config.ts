import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{client-sdk,signer,rollout,server,test,demo}/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
