import { describe, expect, test } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { CriRuntime } from '../../executor/runtimes/cri.ts';
import { silent } from '../../lib/log.ts';
import { containerdIsHere, startContainerd } from './containerd.ts';
import { descendantsOf, shimsOf } from './daemons.ts';
import { aPod, eventually, sandboxFor } from './pods-for-tests.ts';

(containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip)('a containerd of a test', () => {
  test('leaves nothing running when it stops, be its pods removed or not', async () => {
    const logs = mkdtempSync('/dev/shm/km-daemons-');
    const containerd = await startContainerd(19);
    let pids: number[] = [];
    try {
      const socket = `unix://${containerd.socket}`;
      const runtime = await CriRuntime.open({ socket, owner: 'daemons', nodeIp: '127.0.0.1', log: silent });
      await runtime.createSandbox({ ...sandboxFor(aPod(), logs), cgroupParent: containerd.cgroup });
      await runtime.close();
      pids = shimsOf(containerd.directory).flatMap((shim) => [shim, ...descendantsOf(shim)]);
      expect(pids.length).toBeGreaterThan(1); // the shim, and what keeps the pod's namespaces
    } finally {
      await containerd.stop();
      rmSync(logs, { recursive: true, force: true });
    }
    await eventually(() => pids.every((pid) => !existsSync(`/proc/${pid}`)), 'all of it to be gone');
  }, 60_000);
});
