import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import { podCgroup, removePodCgroup } from '../../executor/pod-cgroups.ts';
import type { Runtime } from '../../executor/runtime.ts';
import { containerConfig, sandboxConfig } from '../../executor/runtimes/cri-config.ts';
import { type CriClient, connectCri } from '../../executor/runtimes/cri-client.ts';
import { busyboxImage } from '../../test/executor/images.ts';
import { type TestKubelet, testKubelet } from '../../test/executor/kubelet-for-tests.ts';
import { type KubeletOn, kubeletOnContainerd } from '../../test/executor/kubelet-on.ts';
import { aPod, containerFor, eventually, sandboxFor } from '../../test/executor/pods-for-tests.ts';
import { median, report } from '../report.ts';

const bench = 'executor';
const runs = 15;
const together = 30;
const rounds = 3;

const sleeper = (name: string): Pod => aPod({ command: ['sleep', '1000'] }, { terminationGracePeriodSeconds: 0 }, name);

/** Milliseconds until the status says Ready. */
async function untilReady(kubelet: TestKubelet, pod: Pod): Promise<number> {
  const started = performance.now();
  const uid = pod.metadata.uid!;
  const ready = new Promise<void>((resolve) => {
    kubelet.apiserver.onStatus.set(uid, ({ conditions }) => {
      if (conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) resolve();
    });
  });
  kubelet.pods.bound(pod);
  kubelet.pods.admit(uid);
  await ready;
  return performance.now() - started;
}

async function end(kubelet: TestKubelet, pods: readonly Pod[]): Promise<void> {
  for (const { metadata } of pods) kubelet.pods.end(metadata.uid!, { graceSeconds: 0, remove: true });
  await eventually(() => pods.every(({ metadata }) => !kubelet.pods.has(metadata.uid!)), 'the pods to end', 120_000);
}

const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;

/** A pod of processes, beside a process and nothing more. */
export async function onProcesses(): Promise<void> {
  const kubelet = testKubelet();
  const raw = await median(runs, async () => {
    const started = performance.now();
    const child = spawn('sleep', ['1000']);
    await once(child, 'spawn');
    const took = performance.now() - started;
    child.kill('SIGKILL');
    return took;
  });
  const value = await median(runs, async () => {
    const pod = sleeper('p');
    const took = await untilReady(kubelet, pod);
    await end(kubelet, [pod]);
    return took;
  });
  await kubelet.close();
  report({ bench, case: 'process runtime, start to Ready', value, unit: 'ms', goal: 30, lower: true, raw });
}

/** A pod on containerd, beside the calls of CRI that it takes and nothing more; each with its sandbox on a CNI network. */
export async function onContainerd(): Promise<void> {
  const on = await kubeletOnContainerd(19, 'bench');
  const cri = connectCri(`unix://${join(on.place.directory, 'containerd.sock')}`);
  const raw = (name: string) => rawPod(cri, sleeper(name), on);
  const one: Pair[] = [];
  for (let i = 0; i < runs; i++) {
    const bare = await raw(`bare-${i}`);
    await removeRaw(cri, bare, on);
    const pod = sleeper(`pod-${i}`);
    one.push([bare.took, await untilReady(on.kubelet, pod)]);
    await end(on.kubelet, [pod]);
  }
  tell('one pod', one);
  const many: Pair[] = [];
  const inCalls = timing(on.runtime);
  const outside: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const names = Array.from({ length: together }, (_, i) => `${round}-${i}`);
    const bare = await Promise.all(names.map((name) => raw(`bare-${name}`)));
    await Promise.all(bare.map((one) => removeRaw(cri, one, on)));
    const pods = names.map((name) => sleeper(`pod-${name}`));
    const took = await Promise.all(pods.map((pod) => untilReady(on.kubelet, pod)));
    await end(on.kubelet, pods);
    many.push(...took.map((ms, i): Pair => [bare[i]!.took, ms]));
    outside.push(...took.map((ms, i) => ms - (inCalls.get(pods[i]!.metadata.uid!) ?? 0)));
  }
  tell(`${together} pods at once, each`, many);
  const value = middle(outside);
  // The calls themselves take seconds, and differ from round to round by more than the goal.
  const what = `containerd, ${together} pods at once, each, outside of the calls that start them`;
  report({ bench, case: what, value, unit: 'ms', goal: 50, lower: true });
  cri.close();
  await on.stop();
}

/** By pod uid: milliseconds in the calls that make its sandbox and start its containers. */
function timing(runtime: Runtime): Map<string, number> {
  const spent = new Map<string, number>();
  const timed =
    <S extends { pod: Pod }, A>(call: (spec: S, signal?: AbortSignal) => Promise<A>) =>
    async (spec: S, signal?: AbortSignal): Promise<A> => {
      const started = performance.now();
      try {
        return await call(spec, signal);
      } finally {
        const uid = spec.pod.metadata.uid!;
        spent.set(uid, (spent.get(uid) ?? 0) + performance.now() - started);
      }
    };
  runtime.createSandbox = timed(runtime.createSandbox.bind(runtime));
  runtime.start = timed(runtime.start.bind(runtime));
  return spent;
}

type Pair = [raw: number, km: number];

function tell(what: string, pairs: readonly Pair[]): void {
  const [raw, value] = [middle(pairs.map(([bare]) => bare)), middle(pairs.map(([, km]) => km))];
  report({ bench, case: `containerd, ${what}, start to Ready`, value, unit: 'ms', goal: raw + 50, lower: true, raw });
  report({ bench, case: `containerd, ${what}, km’s share`, value: value - raw, unit: 'ms', goal: 50, lower: true });
}

/** A pod that was started by nothing but calls of CRI. */
interface Raw {
  took: number;
  sandbox: string;
  uid: string;
}

/** The same sandbox and container as the kubelet's: below a cgroup, with a hosts file and one for last words. */
async function rawPod(cri: CriClient, pod: Pod, { directory, place }: KubeletOn): Promise<Raw> {
  const spec = { ...sandboxFor(pod, join(directory, 'logs')), cgroupParent: podCgroup(pod, place.cgroup) };
  mkdirSync(join(spec.logDirectory, 'c'), { recursive: true });
  const mounts = ['/etc/hosts', '/dev/termination-log'].map((containerPath) => {
    const hostPath = join(spec.logDirectory, basename(containerPath));
    writeFileSync(hostPath, '');
    return { hostPath, containerPath, readOnly: false };
  });
  const config = sandboxConfig(spec, 'raw');
  const started = performance.now();
  const { pod_sandbox_id } = await cri.runtime<{ pod_sandbox_id: string }>('RunPodSandbox', {
    config,
    runtime_handler: '',
  });
  const container: Container = pod.spec.containers[0]!;
  const wanted = containerFor(pod, pod_sandbox_id, spec, { container, imageId: busyboxImage, mounts });
  const { container_id } = await cri.runtime<{ container_id: string }>('CreateContainer', {
    pod_sandbox_id,
    config: containerConfig(wanted, 'raw'),
    sandbox_config: config,
  });
  await cri.runtime('StartContainer', { container_id });
  return { took: performance.now() - started, sandbox: pod_sandbox_id, uid: pod.metadata.uid! };
}

async function removeRaw(cri: CriClient, { sandbox: pod_sandbox_id, uid }: Raw, { place }: KubeletOn): Promise<void> {
  await cri.runtime('StopPodSandbox', { pod_sandbox_id });
  await cri.runtime('RemovePodSandbox', { pod_sandbox_id });
  await removePodCgroup(uid, place.cgroup);
}
