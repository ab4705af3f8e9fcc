import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import { cadvisorMetrics } from '../../executor/cadvisor-metrics.ts';
import { machineUse } from '../../executor/machine.ts';
import type { MetricsFacts } from '../../executor/node-metrics.ts';
import { podCgroup } from '../../executor/pod-cgroups.ts';
import { UsageMeter } from '../../executor/usage.ts';
import { containerdIsHere } from './containerd.ts';
import { dockerIsHere } from './dockerd.ts';
import { busyboxImage } from './images.ts';
import { type KubeletOn, kubeletOnContainerd, kubeletOnDocker } from './kubelet-on.ts';
import { aPod, eventually } from './pods-for-tests.ts';

const isRoot = process.getuid?.() === 0;
const runtimes: [string, boolean, () => Promise<KubeletOn>][] = [
  ['containerd', containerdIsHere, () => kubeletOnContainerd(14, 'statistics')],
  ['Docker', dockerIsHere, () => kubeletOnDocker(14, 'statistics')],
];

for (const [name, isHere, start] of runtimes)
  (isHere && isRoot ? describe : describe.skip)(`what the kubelet’s port tells of pods on ${name}`, () => {
    let on: KubeletOn;
    let facts: MetricsFacts;
    let pod: Pod;
    beforeAll(async () => {
      on = await start();
      const { kubelet, place, directory } = on;
      facts = {
        ...{ pods: kubelet.pods, meter: new UsageMeter(on.runtime), probes: kubelet.probeCounts, nodeName: 'node-1' },
        ...{ cgroupParent: place.cgroup, machine: () => machineUse(directory) },
      };
      const limits = { cpu: '100m', memory: '64Mi' };
      pod = await run('busy', { resources: { limits }, command: ['sh', '-c', 'sleep 1000 & while true; do :; done'] });
    }, 60_000);
    afterAll(() => on?.stop(), 60_000);

    async function run(name: string, container: object, spec: Partial<PodSpec> = {}): Promise<Pod> {
      const { kubelet } = on;
      const own = aPod({ image: busyboxImage, ...container }, { terminationGracePeriodSeconds: 0, ...spec }, name);
      kubelet.pods.bound(own);
      kubelet.pods.admit(own.metadata.uid!);
      await eventually(() => kubelet.status(own)?.containerStatuses?.every((c) => c.ready), 'the pod to run', 30_000);
      return own;
    }

    test('cAdvisor’s metrics, under its names and labels', async () => {
      let text = '';
      await eventually(async () => {
        text = await cadvisorMetrics(facts);
        return samples(text, 'container_cpu_cfs_throttled_periods_total').some(({ value }) => value > 0);
      }, 'the container to be held back');
      const one = (metric: string, labels: Record<string, string>) => {
        const found = samples(text, metric).filter((s) => Object.entries(labels).every(([k, v]) => s.labels[k] === v));
        expect([metric, found.length]).toEqual([metric, 1]);
        return found[0]!;
      };
      const { id } = (await on.kubelet.pods.container(pod.metadata.uid!, 'c'))!;
      const ofContainer = { namespace: 'default', pod: 'busy', container: 'c' };
      const ofPod = { namespace: 'default', pod: 'busy', container: '' };
      const { labels } = one('container_cpu_usage_seconds_total', ofContainer);
      const cgroup = podCgroup(pod, on.place.cgroup);
      expect(labels).toEqual({ ...ofContainer, cpu: 'total', image: busyboxImage, name: id, id: `${cgroup}/${id}` });
      expect(one('container_cpu_usage_seconds_total', ofPod).labels.id).toBe(cgroup);
      expect(one('container_cpu_usage_seconds_total', { id: '/' }).value).toBeGreaterThan(1);
      expect(one('container_memory_working_set_bytes', ofContainer).value).toBeLessThan(64 << 20);
      expect(one('container_memory_working_set_bytes', ofContainer).value).toBeGreaterThan(0);
      expect(one('container_memory_usage_bytes', ofPod).value).toBeGreaterThan(0);
      expect(one('container_processes', ofContainer).value).toBe(2);
      expect(one('container_start_time_seconds', ofContainer).value).toBeGreaterThan(1e9);
      expect(one('container_last_seen', ofContainer).value).toBeGreaterThan(1e9);
      expect(one('container_spec_cpu_quota', ofContainer).value).toBe(10_000);
      expect(one('container_spec_cpu_period', ofContainer).value).toBe(100_000);
      expect(one('container_spec_cpu_shares', ofContainer).value).toBe(102);
      expect(one('container_spec_memory_limit_bytes', ofContainer).value).toBe(64 << 20);
      expect(one('container_network_receive_bytes_total', { ...ofPod, interface: 'eth0' }).value).toBeGreaterThan(0);
      expect(one('machine_cpu_cores', {}).value).toBeGreaterThan(0);
      expect(one('machine_memory_bytes', {}).value).toBeGreaterThan(1 << 30);
    });
  });

function samples(text: string, metric: string): { labels: Record<string, string>; value: number }[] {
  return [...text.matchAll(new RegExp(`^${metric}\\{(.*)\\} (\\S+)`, 'gm'))].map(([, pairs, value]) => ({
    labels: Object.fromEntries([...pairs!.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])),
    value: Number(value),
  }));
}
