import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import { cadvisorMetrics } from '../../executor/cadvisor-metrics.ts';
import { machineUse } from '../../executor/machine.ts';
import { DiskMeter } from '../../executor/disk-meter.ts';
import { type MetricsFacts, kubeletMetrics } from '../../executor/node-metrics.ts';
import { podCgroup } from '../../executor/pod-cgroups.ts';
import { statsSummary } from '../../executor/stats-summary.ts';
import { mount, unmount } from '../../executor/volumes/mounts.ts';
import { silent } from '../../lib/log.ts';
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

type NodeStats = { runtime?: { imageFs: Record<string, unknown> } };

for (const [name, isHere, start] of runtimes)
  (isHere && isRoot ? describe : describe.skip)(`what the kubelet’s port tells of pods on ${name}`, () => {
    let on: KubeletOn;
    let facts: MetricsFacts;
    let pod: Pod;
    let measure: () => DiskMeter;
    beforeAll(async () => {
      on = await start();
      const { kubelet, place, directory } = on;
      const [volumes, logs] = [join(directory, 'volumes'), join(directory, 'logs')];
      const volumePaths = (uid: string) => kubelet.pods.volumePaths(uid);
      measure = () => new DiskMeter({ volumes, logs, volumePaths, images: on.runtime.images, log: silent });
      facts = {
        ...{ pods: kubelet.pods, meter: new UsageMeter(on.runtime), probes: kubelet.probeCounts, nodeName: 'node-1' },
        certificates: () => ({
          client: { secondsLeft: 60, failures: 0 },
          server: { secondsLeft: Infinity, failures: 2 },
        }),
        disks: measure(),
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

    // Docker walks the layers of its images for it; containerd has counted them some seconds after it started.
    if (name === 'containerd')
      test('what its images have on disk', async () => {
        const counted = async () => ((await on.runtime.images.usedBytes!()) ?? 0) > 0;
        await eventually(counted, 'containerd to count the images', 25_000);
        const own = { ...facts, disks: measure() };
        const imageFs = await eventually(
          async () => ((await statsSummary(own, false)) as { node: NodeStats }).node.runtime?.imageFs,
          'the images to be measured',
        );
        expect(imageFs.usedBytes).toBeGreaterThan(1 << 20);
        expect(imageFs.usedBytes).toBeLessThan(imageFs.capacityBytes as number);
      });

    describe('of a pod with volumes', () => {
      let path: string;
      let keeper: Pod;
      beforeAll(async () => {
        path = join(on.directory, 'a disk');
        mkdirSync(path);
        await mount(['-t', 'tmpfs', '-o', 'size=8m', 'km', path]);
        const { volumes, claims } = on.kubelet.apiserver;
        volumes.set('pv', {
          metadata: { name: 'pv' },
          spec: { capacity: { storage: '8Mi' }, accessModes: ['ReadWriteOnce'], local: { path } },
        });
        claims.set('default/data', {
          metadata: { name: 'data', namespace: 'default' },
          spec: { accessModes: ['ReadWriteOnce'], volumeName: 'pv' },
          status: { phase: 'Bound' },
        });
        const write = (name: string) => `dd if=/dev/zero of=/${name}/f bs=1M count=1`;
        const script = `${write('data')} && ${write('disk')} && ${write('memory')} && ls -la / && touch /done && sleep 1000`;
        const names = ['data', 'disk', 'memory'];
        keeper = await run(
          'keeper',
          {
            command: ['sh', '-c', script],
            volumeMounts: names.map((name) => ({ name, mountPath: `/${name}` })),
            readinessProbe: { exec: { command: ['test', '-e', '/done'] }, periodSeconds: 1 },
          },
          {
            volumes: [
              { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
              { name: 'disk', emptyDir: {} },
              { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '4Mi' } },
            ],
          },
        );
      });
      afterAll(async () => {
        on.kubelet.pods.end(keeper.metadata.uid!, { graceSeconds: 0, remove: true });
        await eventually(() => !on.kubelet.pods.has(keeper.metadata.uid!), 'the pod to end', 20_000);
        await unmount(path);
      });

      test('how full they are, with what it wrote and what came and went by its network', async () => {
        type PodStats = Record<string, Record<string, unknown>> & {
          podRef: { name: string };
          volume: Record<string, number | string>[];
          containers: Record<string, Record<string, unknown>>[];
        };
        let imageFs: Record<string, unknown> | undefined;
        const found = await eventually(async () => {
          const { node, pods } = (await statsSummary(facts, false)) as { node: NodeStats; pods: PodStats[] };
          imageFs = node.runtime?.imageFs;
          const own = pods.find(({ podRef }) => podRef.name === 'keeper'); // the use of a new one is seen a second later
          return imageFs && own?.volume && own;
        }, 'the volumes to be measured');
        const volume = (name: string) => found.volume.find((v) => v.name === name);
        expect(volume('data')).toMatchObject({
          pvcRef: { name: 'data', namespace: 'default' },
          ...{ capacityBytes: 8 << 20, availableBytes: 7 << 20, usedBytes: 1 << 20 },
          ...{ inodes: expect.any(Number), inodesFree: expect.any(Number), inodesUsed: 2 },
        });
        expect(volume('memory')).toMatchObject({ capacityBytes: 4 << 20, availableBytes: 3 << 20, usedBytes: 1 << 20 });
        expect(volume('disk')!.usedBytes).toBeGreaterThanOrEqual(1 << 20);
        expect(volume('disk')!.usedBytes).toBeLessThan(2 << 20);
        expect(volume('disk')!.capacityBytes).toBeGreaterThan(8 << 20);
        expect(found['ephemeral-storage']!.usedBytes).toBeGreaterThanOrEqual(1 << 20);
        expect(found['ephemeral-storage']!.usedBytes).toBeLessThan(2 << 20); // what is in memory is on no disk
        expect(found.process_stats!.process_count).toBeGreaterThanOrEqual(2);
        expect(found.network).toMatchObject({ name: 'eth0', interfaces: [{ name: 'eth0' }] });
        expect(found.network!.rxBytes).toBeGreaterThan(0);
        expect(imageFs).toMatchObject({ capacityBytes: expect.any(Number), availableBytes: expect.any(Number) });
        // Docker keeps logs itself.
        if (name === 'containerd') expect(found.containers[0]!.logs!.usedBytes).toBeGreaterThan(100);
      });

      test('the claims’ among the kubelet’s metrics', async () => {
        const text = await eventually(async () => {
          const said = await kubeletMetrics(facts);
          return said.includes('kubelet_volume_stats_used_bytes{') ? said : undefined;
        }, 'the claim to be measured');
        const told = (metric: string) => samples(text, `kubelet_volume_stats_${metric}`);
        const labels = { namespace: 'default', persistentvolumeclaim: 'data' };
        expect(told('capacity_bytes')).toEqual([{ labels, value: 8 << 20 }]);
        expect(told('available_bytes')).toEqual([{ labels, value: 7 << 20 }]);
        expect(told('used_bytes')).toEqual([{ labels, value: 1 << 20 }]);
        expect(told('inodes_used')).toEqual([{ labels, value: 2 }]);
        expect(told('inodes')[0]!.value).toBeGreaterThan(told('inodes_free')[0]!.value);
      });
    });
  });

function samples(text: string, metric: string): { labels: Record<string, string>; value: number }[] {
  return [...text.matchAll(new RegExp(`^${metric}\\{(.*)\\} (\\S+)`, 'gm'))].map(([, pairs, value]) => ({
    labels: Object.fromEntries([...pairs!.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])),
    value: Number(value),
  }));
}
