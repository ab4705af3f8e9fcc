import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServicePort } from './rules.ts';
import { runner, type Refusal, type Run, type Writer } from './writer.ts';

/** What kube-proxy can ask of a kernel: two endpoints, affinity, a node port, source ranges. */
const demanding: ServicePort = {
  key: 'km-preflight/check:/TCP',
  service: 'km-preflight/check',
  protocol: 'TCP',
  family: 4,
  clusterIP: '192.0.2.1',
  port: 80,
  nodePort: 30_000,
  externalIPs: [],
  loadBalancerIPs: ['192.0.2.2'],
  sourceRanges: ['198.51.100.0/24'],
  affinitySeconds: 60,
  internalLocal: false,
  externalLocal: false,
  cluster: [
    { address: '192.0.2.3', port: 8080 },
    { address: '192.0.2.4', port: 8080 },
  ],
  local: [],
  localReady: [],
  healthCheckNodePort: 0,
};
/** What most ask for: rules of another kind. */
const plain: ServicePort = {
  ...demanding,
  key: 'km-preflight/plain:/TCP',
  service: 'km-preflight/plain',
  clusterIP: '192.0.2.5',
  nodePort: 0,
  loadBalancerIPs: [],
  sourceRanges: [],
  affinitySeconds: 0,
};

/**
 * Writes rules as they are written for Services, into a network namespace that goes again: nothing of this machine changes.
 * Takes root. Rejects with what the kernel, or the program that writes them, said.
 */
export async function writeForCheck(writerOf: (run: Run) => Writer): Promise<void> {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(holder, 'close');
  try {
    await Promise.race([
      once(holder.stdout, 'data'),
      ended.then(() => Promise.reject(new Error('no namespace can be made'))),
    ]);
    const writer = writerOf(runner(['nsenter', `--net=/proc/${holder.pid}/ns/net`]));
    const [refusal]: Refusal[] = await writer.apply(new Map([demanding, plain].map((port) => [port.key, port])));
    if (refusal) throw new Error(refusal.reason);
  } finally {
    holder.stdin.end();
    await ended;
  }
}
