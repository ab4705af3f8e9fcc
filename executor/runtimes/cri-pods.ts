import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Addresses, RuntimeContainer, RuntimePod } from '../runtime.ts';
import { inOrder } from './addresses.ts';
import type { CriClient } from './cri-client.ts';
import { logPathAnnotation, specHashAnnotation } from './cri-config.ts';
import { labels } from './labels.ts';

export interface Sandbox {
  id: string;
  metadata: { name: string; namespace: string; uid: string; attempt: number };
  state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY';
  created_at: number;
}
interface SandboxStatus {
  status: {
    network?: { ip: string; additional_ips?: { ip: string }[] } | null;
    linux?: { namespaces?: { options?: { network: 'POD' | 'NODE' } | null } | null } | null;
  };
}
interface Listed {
  id: string;
  pod_sandbox_id: string;
  state: CriState;
}
type CriState = 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';
interface Status extends Listed {
  metadata: { name: string; attempt: number };
  started_at: number;
  finished_at: number;
  exit_code: number;
  image: { image: string };
  image_ref: string;
  reason: string;
  message: string;
  annotations: Record<string, string>;
  log_path: string;
}

/** An exited container never changes again, a running one not until it exits: asked once per state. */
interface Known {
  /** By sandbox id. */
  addresses: Map<string, Addresses>;
  /** By id and state. */
  containers: Map<string, RuntimeContainer>;
}

/** The pods of ours that a CRI runtime has, found with as few questions as may be. */
export class CriPods {
  readonly #cri: CriClient;
  readonly #owner: string;
  readonly #nodeIp: string;
  #known: Known = { addresses: new Map(), containers: new Map() };
  /** Whom the next look is for. */
  #asked: { uids: Set<string>; found: Promise<Map<string, RuntimePod>> } | undefined;

  constructor(cri: CriClient, { owner, nodeIp }: { owner: string; nodeIp: string }) {
    this.#cri = cri;
    this.#owner = owner;
    this.#nodeIp = nodeIp;
  }

  /** As they were when somebody last looked. */
  get containers(): IterableIterator<RuntimeContainer> {
    return this.#known.containers.values();
  }

  async all(): Promise<RuntimePod[]> {
    const { pods, known } = await this.#list({});
    this.#known = known;
    return pods;
  }

  /** Pods that are asked for in the same moment, as those that come together are, are looked for together. */
  async one(uid: string): Promise<RuntimePod | undefined> {
    const asked = (this.#asked ??= { uids: new Set(), found: nextTurn().then(() => this.#look()) });
    asked.uids.add(uid);
    return (await asked.found).get(uid);
  }

  async #look(): Promise<Map<string, RuntimePod>> {
    const { uids } = this.#asked!;
    this.#asked = undefined;
    const [only] = uids;
    const { pods, known } = await this.#list(uids.size === 1 ? { [labels.podUid]: only! } : {});
    for (const [id, address] of known.addresses) this.#known.addresses.set(id, address);
    for (const [key, container] of known.containers) this.#known.containers.set(key, container);
    return new Map(pods.map((pod) => [pod.uid, pod]));
  }

  async #list(wanted: Record<string, string>): Promise<{ pods: RuntimePod[]; known: Known }> {
    const filter = { label_selector: { [labels.owner]: this.#owner, ...wanted } };
    const [{ items }, { containers }] = await Promise.all([
      this.#cri.runtime<{ items: Sandbox[] }>('ListPodSandbox', { filter }),
      this.#cri.runtime<{ containers: Listed[] }>('ListContainers', { filter }),
    ]);
    const known = await this.#learn(items, containers);
    const byPod = Map.groupBy(items, (sandbox) => sandbox.metadata.uid);
    const pods = [...byPod.values()].map((sandboxes) => {
      const newest = sandboxes.reduce((a, b) => (b.metadata.attempt > a.metadata.attempt ? b : a));
      const ids = new Set(sandboxes.map(({ id }) => id));
      return {
        uid: newest.metadata.uid,
        namespace: newest.metadata.namespace,
        name: newest.metadata.name,
        sandbox: {
          id: newest.id,
          ...(known.addresses.get(newest.id) ?? { ip: '' }),
          ready: newest.state === 'SANDBOX_READY',
          createdAt: newest.created_at / 1e6,
          attempt: newest.metadata.attempt,
        },
        containers: containers
          .filter((c) => ids.has(c.pod_sandbox_id))
          .flatMap((c) => known.containers.get(`${c.id} ${c.state}`) ?? []),
      };
    });
    return { pods, known };
  }

  /** The addresses of a sandbox that was just made. */
  async addressesOf(id: string): Promise<Addresses> {
    const addresses = await this.#addresses(id);
    this.#known.addresses.set(id, addresses);
    return addresses;
  }

  /** True of a container that is not there, too. */
  async isOver(id: string): Promise<boolean> {
    const answer = await this.#cri.orMissing<{ status: Status }>('ContainerStatus', { container_id: id });
    return answer?.status.state !== 'CONTAINER_RUNNING';
  }

  /** What lists do not say, of what is in them. */
  async #learn(sandboxes: Sandbox[], listed: Listed[]): Promise<Known> {
    const { addresses, containers } = this.#known;
    const known: Known = { addresses: new Map(), containers: new Map() };
    await Promise.all([
      ...sandboxes.map(async ({ id }) => {
        const before = addresses.get(id);
        known.addresses.set(id, before?.ip ? before : await this.#addresses(id));
      }),
      ...listed.map(async ({ id, pod_sandbox_id, state }) => {
        const key = `${id} ${state}`;
        const container = containers.get(key) ?? (await this.#status(id, pod_sandbox_id));
        if (container) known.containers.set(key, container);
      }),
    ]);
    return known;
  }

  async #status(id: string, sandboxId: string): Promise<RuntimeContainer | undefined> {
    const answer = await this.#cri.orMissing<{ status: Status }>('ContainerStatus', { container_id: id });
    return answer && containerOf(answer.status, sandboxId);
  }

  async #addresses(id: string): Promise<Addresses> {
    const { status } = (await this.#cri.orMissing<SandboxStatus>('PodSandboxStatus', { pod_sandbox_id: id })) ?? {};
    // One that is on its way to a network of its own has none yet.
    const isOnHost = status?.linux?.namespaces?.options?.network === 'NODE';
    if (isOnHost) return { ip: this.#nodeIp };
    const { ip = '', additional_ips: others = [] } = status?.network ?? {};
    return inOrder([ip, ...others.map((other) => other.ip)], this.#nodeIp);
  }
}

function containerOf(status: Status, sandboxId: string): RuntimeContainer {
  const exited = status.state === 'CONTAINER_EXITED' || status.state === 'CONTAINER_UNKNOWN';
  return {
    id: status.id,
    sandboxId,
    name: status.metadata.name,
    attempt: status.metadata.attempt,
    state: exited ? 'exited' : status.state === 'CONTAINER_RUNNING' ? 'running' : 'created',
    specHash: status.annotations[specHashAnnotation] ?? '',
    image: status.image.image,
    imageId: status.image_ref,
    startedAt: status.started_at / 1e6,
    // A container that ends at once may have an end a little before the start that containerd noted.
    finishedAt: exited ? Math.max(status.finished_at, status.started_at) / 1e6 : 0,
    ...(exited
      ? { exitCode: status.exit_code, reason: status.reason || (status.exit_code === 0 ? 'Completed' : 'Error') }
      : {}),
    ...(status.message ? { message: status.message } : {}),
    logPath: status.log_path || (status.annotations[logPathAnnotation] ?? ''),
  };
}
