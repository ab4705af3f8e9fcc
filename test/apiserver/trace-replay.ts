import { Agent } from 'undici';
import { eventually } from '../eventually.ts';
import { adminToken, type Json, type TestServer, listOf } from './harness.ts';
import { bytesOf, valueOf, type Exchange } from './trace.ts';

/** What the server answered to a recorded request. */
export interface Replayed {
  status: number;
  type: string;
  value: unknown;
}

/** A name with the suffix of a pod template's hash, and maybe that of a pod. */
const generated = /\b(web|j1|csvc|app-svc)-[a-z0-9]{5,10}(-[a-z0-9]{5})?\b/g;

/**
 * Sends recorded requests to a server of ours. What the recorded server made up (versions, uids, continue tokens, names
 * of pods and ReplicaSets) is replaced by what ours made up in its place.
 */
export class Replay {
  readonly #server: TestServer;
  readonly #agent: Agent;
  readonly #ours = new Map<string, string>();

  readonly #program: string;

  /** `program` is what a User-Agent begins with: it owns fields. */
  constructor(server: TestServer, program: string) {
    this.#server = server;
    this.#program = program;
    this.#agent = new Agent({ connect: { ca: server.ca.pem } });
  }

  async send(recorded: Exchange): Promise<Replayed> {
    const { method, accept, contentType, as } = recorded;
    const path = await this.#translated(recorded.path);
    const isBinary = recorded.body?.startsWith('base64:');
    const body =
      recorded.body === undefined
        ? undefined
        : isBinary
          ? bytesOf(recorded.body)
          : Buffer.from(await this.#translated(recorded.body));
    const answer = await this.#agent.request({
      origin: this.#server.url,
      path,
      method: method as 'GET',
      headers: {
        authorization: `Bearer ${adminToken}`,
        'user-agent': `${this.#program}/v1.0.0`,
        ...(accept ? { accept } : {}),
        ...(contentType ? { 'content-type': contentType } : {}),
        ...(as ? { 'impersonate-user': as } : {}),
      },
      ...(body ? { body } : {}),
    });
    const type = String(answer.headers['content-type']);
    if (isWatch(path)) {
      answer.body.on('error', () => undefined);
      answer.body.destroy();
      return { status: answer.statusCode, type, value: undefined };
    }
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    const value = valueOf(bytes, type);
    this.#learn(valueOfAnswer(recorded), value);
    return { status: answer.statusCode, type, value };
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  #learn(recorded: unknown, ours: unknown): void {
    const theirs = (recorded as Json | undefined)?.['metadata'];
    const meta = (ours as Json | undefined)?.['metadata'];
    for (const member of ['resourceVersion', 'uid', 'continue']) {
      const [from, to] = [theirs?.[member], meta?.[member]] as unknown[];
      if (typeof from === 'string' && typeof to === 'string' && from !== '') this.#ours.set(from, to);
    }
  }

  async #translated(text: string): Promise<string> {
    for (const [name] of text.matchAll(generated)) {
      const isFixed = ['app-svc', 'csvc'].includes(name);
      if (!isFixed && !this.#ours.has(name)) await this.#pair(name);
    }
    const put = (from: string): string => this.#ours.get(from) ?? from;
    return text
      .replace(generated, put)
      .replace(/(?<=resourceVersion(?:=|%3D|":"))\d+/g, put)
      .replace(/(?<=uid":")[0-9a-f-]{36}/g, put)
      .replace(/(?<=uid%3D)[0-9a-f-]{36}/g, put)
      .replace(/(?<=continue=)[^&]+/g, put);
  }

  /** An object of ours for one of theirs: the first of its sort that stands for no other. */
  async #pair(name: string): Promise<void> {
    const [, stem, pod] = new RegExp(generated.source).exec(name)!;
    const resource =
      pod || stem === 'j1' ? '/api/v1/namespaces/trace/pods' : '/apis/apps/v1/namespaces/trace/replicasets';
    const { json } = await this.#server.call('GET', resource);
    const taken = new Set(this.#ours.values());
    const items = json['items'] ? listOf<{ metadata: { name: string } }>(json['items']) : [];
    const free = items.map(({ metadata }) => metadata.name).find((it) => it.startsWith(`${stem}-`) && !taken.has(it));
    if (free) this.#ours.set(name, free);
  }
}

export const isWatch = (path: string): boolean => path.includes('watch=true');

export const valueOfAnswer = ({ answer, type, cut }: Exchange): unknown => {
  if (answer === undefined || (cut && answer.startsWith('base64:'))) return undefined;
  return valueOf(bytesOf(answer), type);
};

const now = () => new Date().toISOString().replace(/\.\d+Z/, 'Z');
/** The stand-in for scheduler and kubelets writes under a name of its own. */
const us = { 'user-agent': 'km-test/1' };
const strategic = { ...us, 'content-type': 'application/strategic-merge-patch+json' };

/** The nodes of the recordings. */
export async function makeNodes(s: TestServer): Promise<void> {
  for (const [at, name] of ['tn-a', 'tn-b'].entries()) {
    const podCIDR = `10.244.${at + 1}.0/24`;
    const labels = {
      'beta.kubernetes.io/os': 'linux',
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'node-role.kubernetes.io/worker': '',
    };
    const room = { cpu: '4', memory: '8Gi', pods: '110' };
    const conditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => ({
      type,
      status: type === 'Ready' ? 'True' : 'False',
      lastHeartbeatTime: now(),
      lastTransitionTime: now(),
      reason: 'x',
      message: 'x',
    }));
    await s.call(
      'POST',
      '/api/v1/nodes',
      {
        metadata: { name, labels, annotations: { 'node.alpha.kubernetes.io/ttl': '0' } },
        spec: { podCIDR, podCIDRs: [podCIDR] },
      },
      us,
    );
    await s.call(
      'POST',
      '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases',
      {
        metadata: { name },
        spec: {
          holderIdentity: name,
          leaseDurationSeconds: 40,
          renewTime: new Date().toISOString().replace('Z', '000Z'),
        },
      },
      us,
    );
    await s.call(
      'PATCH',
      `/api/v1/nodes/${name}/status`,
      {
        status: {
          capacity: room,
          allocatable: room,
          conditions,
          addresses: [
            { type: 'InternalIP', address: '127.0.0.1' },
            { type: 'Hostname', address: name },
          ],
          daemonEndpoints: { kubeletEndpoint: { Port: 16250 } },
          nodeInfo: {
            machineID: 'a',
            systemUUID: 'a',
            bootID: 'a',
            kernelVersion: '5.10',
            osImage: 'Debian',
            containerRuntimeVersion: 'containerd://1.6',
            kubeletVersion: 'v1.23.0',
            kubeProxyVersion: 'v1.23.0',
            operatingSystem: 'linux',
            architecture: 'amd64',
          },
        },
      },
      strategic,
    );
  }
}

interface Pod {
  metadata: { name: string; deletionTimestamp?: string };
  spec: { nodeName?: string; containers: { name: string; image: string }[] };
  status: { phase: string };
}

interface Deployment {
  metadata: { generation: number };
  spec: { replicas: number; paused?: boolean };
  status: { observedGeneration?: number; availableReplicas?: number; updatedReplicas?: number; replicas?: number };
}

/** Plays scheduler and kubelets until every pod runs or is gone and every Deployment has what it wants. */
export function settle(s: TestServer, namespace: string): Promise<void> {
  const items = async <T>(path: string): Promise<T[]> => {
    const { json } = await s.call('GET', path);
    return json['items'] ? listOf<T>(json['items']) : [];
  };
  const at = `namespaces/${namespace}`;
  return eventually(async () => {
    for (const pod of await items<Pod>(`/api/v1/${at}/pods`)) await run(s, `/api/v1/${at}/pods`, pod);
    const { json } = await s.call('GET', `/api/v1/namespaces/${namespace}`);
    if ((json['metadata'] as unknown as { deletionTimestamp?: string } | undefined)?.deletionTimestamp)
      throw new Error('the namespace is not gone');
    for (const { metadata, spec, status } of await items<Deployment>(`/apis/apps/v1/${at}/deployments`)) {
      const isSeen = status.observedGeneration === metadata.generation;
      const counts = [status.replicas, status.updatedReplicas, status.availableReplicas];
      if (!isSeen || (!spec.paused && counts.some((count) => (count ?? 0) !== spec.replicas)))
        throw new Error(`a deployment has not settled: ${JSON.stringify(status)}`);
    }
  }, 20_000);
}

async function run(s: TestServer, pods: string, { metadata, spec, status }: Pod): Promise<void> {
  const path = `${pods}/${metadata.name}`;
  if (metadata.deletionTimestamp) return void (await s.call('DELETE', `${path}?gracePeriodSeconds=0`));
  if (!spec.nodeName)
    await s.call(
      'POST',
      `${path}/binding`,
      { metadata: { name: metadata.name }, target: { kind: 'Node', name: 'tn-a' } },
      us,
    );
  if (status.phase !== 'Pending') return;
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: now(),
  }));
  const containerStatuses = spec.containers.map(({ name, image }) => ({
    name,
    image,
    imageID: 'sha256:0',
    containerID: 'containerd://0',
    ready: true,
    started: true,
    restartCount: 0,
    state: { running: { startedAt: now() } },
  }));
  const running = { phase: 'Running', hostIP: '127.0.0.1', podIP: '10.244.0.9', podIPs: [{ ip: '10.244.0.9' }] };
  await s.call(
    'PATCH',
    `${path}/status`,
    { status: { ...running, startTime: now(), conditions, containerStatuses } },
    strategic,
  );
}
