/**
 * The executor: how long pods take to start, and what km adds to what the runtime takes; how large its artifact is and how long it takes to
 * start; and of the executor in it what idle pods cost it, how soon their changes are known, how fast it hands logs on. Takes root and containerd for most of it.
 *
 *   node bench/executor.ts
 */
import { containerdIsHere } from '../test/executor/containerd.ts';
import { artifact } from './executor/artifact.ts';
import { nodeOfPods } from './executor/node-of-pods.ts';
import { onContainerd, onProcesses } from './executor/pod-start.ts';

await onProcesses();
const { km, remove } = artifact();
try {
  if (process.getuid?.() === 0 && containerdIsHere) {
    await onContainerd();
    await nodeOfPods(km);
  } else process.stderr.write('the rest takes root, containerd, busybox and the CNI plugins\n');
} finally {
  remove();
}
process.exit(0);
