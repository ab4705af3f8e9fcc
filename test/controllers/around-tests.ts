import { afterAll, beforeAll } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import { type Controllers, startControllers } from './harness.ts';

/** Controllers for all tests of a file, and kubelets that are played by `answer`; `take` is handed them before the first test. */
export function aroundTests(
  take: (started: Controllers) => void | Promise<void>,
  answer?: (pod: Pod) => Pod['status'],
) {
  let started: Controllers | undefined;
  beforeAll(async () => {
    started = await startControllers();
    if (answer) await started.runPods(answer);
    await take(started);
  });
  afterAll(() => started?.stop());
}
