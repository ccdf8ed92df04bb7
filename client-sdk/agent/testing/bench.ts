/** One charger and its service, for a test. */
import { memoryFiles } from '../../trust/testing/memory-files.ts';
import type { MemoryFiles } from '../../trust/testing/memory-files.ts';
import type { Pass } from '../pass.ts';
import { someImage, TestCharger } from './charger.ts';
import { TestService, testClock } from './service.ts';

export interface TestBench {
  service: TestService;
  files: MemoryFiles;
  charger: TestCharger;
  /** Publishes a release and wants it of the charger, as assignment `a-<version>`. */
  want(version?: string, changes?: Parameters<TestService['publish']>[1]): void;
  /** What the charger told of assignments, each word once. */
  progress(): string[];
}

export async function testBench(): Promise<TestBench> {
  const service = new TestService(testClock());
  const files = memoryFiles();
  const charger = await TestCharger.provision(files, service);
  return {
    service,
    files,
    charger,
    want(version = '1.2.0', changes = {}) {
      const target = service.publish(someImage(), { version, ...changes });
      service.wanted = { assignment: `a-${version}`, target };
    },
    progress: () => [
      ...new Set(service.checkIns.flatMap(({ assignment }) => (assignment ? [assignment.progress] : []))),
    ],
  };
}

export const codes = (pass: Pass): string[] => pass.refusals.map((refusal) => refusal.code);
