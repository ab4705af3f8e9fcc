import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { randomUUID } from 'node:crypto';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import type {
  ContainerSpec,
  Exec,
  ExecRequest,
  Runtime,
  RuntimeContainer,
  SandboxSpec,
} from '../../executor/runtime.ts';

export function aPod(container: Partial<Container> = {}, spec: Partial<Pod['spec']> = {}, name = 'p'): Pod {
  const uid = randomUUID();
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      ...spec,
      containers: spec.containers ?? [
        { name: 'c', image: 'k8s.test/busybox:1', command: ['sleep', '60'], ...container },
      ],
    },
  };
}

export function sandboxFor(pod: Pod, directory: string): SandboxSpec {
  const logDirectory = join(directory, pod.metadata.uid!);
  mkdirSync(logDirectory, { recursive: true });
  const hostname = pod.metadata.name!;
  return { pod, attempt: 0, hostname, logDirectory, portMappings: [], runtimeHandler: '', seccompProfiles: directory };
}

export function containerFor(
  pod: Pod,
  sandboxId: string,
  sandbox: SandboxSpec,
  more: Partial<ContainerSpec> = {},
): ContainerSpec {
  const container = more.container ?? pod.spec.containers[0]!;
  const attempt = more.attempt ?? 0;
  return {
    pod,
    container,
    sandboxId,
    sandbox,
    attempt,
    specHash: 'h1',
    imageId: container.image ?? '',
    imageUser: 0,
    env: [],
    mounts: [],
    images: [],
    devices: [],
    logPath: `${container.name}/${attempt}.log`,
    resources: { cpuShares: 2, oomScoreAdj: 1000 },
    ...more,
  };
}

/** Polls until the answer is not undefined, for at most `ms`. */
export async function eventually<T>(
  probe: () => Promise<T | undefined> | T | undefined,
  what: string,
  ms = 10_000,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function containerOf(runtime: Runtime, uid: string, attempt = 0): Promise<RuntimeContainer | undefined> {
  const pod = (await runtime.pods()).find((p) => p.uid === uid);
  return pod?.containers.find((c) => c.attempt === attempt);
}

export const exited = (runtime: Runtime, uid: string, attempt = 0): Promise<RuntimeContainer> =>
  eventually(async () => {
    const found = await containerOf(runtime, uid, attempt);
    return found?.state === 'exited' ? found : undefined;
  }, 'the container to exit');

/** An exec whose output is collected. */
export async function collect(
  open: (request: Omit<ExecRequest, 'command'>) => Promise<Exec>,
  { input, tty = false }: { input?: Buffer | string; tty?: boolean } = {},
): Promise<{ code: number; stdout: Buffer; stderr: Buffer }> {
  const stdin = input === undefined ? undefined : new PassThrough();
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const collected: [Buffer[], Buffer[]] = [[], []];
  stdout.on('data', (chunk: Buffer) => collected[0].push(chunk));
  stderr.on('data', (chunk: Buffer) => collected[1].push(chunk));
  const exec = await open({ stdin, stdout, stderr, tty });
  stdin?.end(input);
  const code = await exec.done;
  return { code, stdout: Buffer.concat(collected[0]), stderr: Buffer.concat(collected[1]) };
}
