import type { X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { annotations } from '../api/kinds/names.ts';
import { Pod, isMirrorPod } from '../api/kinds/pod.ts';
import { Service } from '../api/kinds/service.ts';
import { Client } from '../client/client.ts';
import { EventRecorder } from '../client/events.ts';
import { Informer } from '../client/informer.ts';
import type { KeyPair } from '../lib/certs.ts';
import { delay, unlessAborted } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import type { EventSubscribed } from '../mesos/executor.ts';
import { delegatedAccess } from './access.ts';
import { apiserverOf } from './apiserver-client.ts';
import { followAuthorities } from './authorities.ts';
import { type CsiState, csiNodeWriter } from './csi/csi-node.ts';
import { CsiPlugins } from './csi/plugins.ts';
import { CsiVolumes } from './csi/volumes.ts';
import { CrashBackoff } from './crash-backoff.ts';
import { DiskMeter } from './disk-meter.ts';
import type { Kubelet } from './kubelet.ts';
import { ImageCollector } from './image-collector.ts';
import { type Introduction, introductionIn } from './introduction.ts';
import { type Pressures, atEase, machineReadings, machineUse } from './machine.ts';
import type { MesosEnv } from './mesos-env.ts';
import { type NodeClient, openNodeClient } from './node-client.ts';
import { nodeIps } from './node-ips.ts';
import { type Amounts, type KeptNode, amountsOf, findNodeName, keepNode, subtract } from './node.ts';
import type { Options } from './options.ts';
import { cgroupParentOf, pidsOfPod } from './pod-cgroups.ts';
import { Pods } from './pods.ts';
import { watchPressure } from './pressure.ts';
import { ProbeCounts } from './probes/probe-counts.ts';
import { rootDirectory } from './root-dir.ts';
import type { Runtime } from './runtime.ts';
import { startServer } from './server.ts';
import { ServingCertificate } from './serving-certificate.ts';
import { Sources } from './sources.ts';
import { StaticPods } from './static-pods.ts';
import { StatusWriter } from './status-writer.ts';
import { unsafeSysctls } from './sysctls.ts';
import type { TaskAction, TaskEvent } from './tasks.ts';
import { UsageMeter } from './usage.ts';

/** What tasks ask of pods. */
export type PodAction = Exclude<TaskAction, { type: 'update' | 'exit' }>;

export interface NodeAgentOptions {
  options: Options;
  mesos: MesosEnv;
  /** As the agent told it last. */
  info: EventSubscribed;
  tell(event: TaskEvent): void;
  log: Logger;
  signal: AbortSignal;
}

interface Place {
  name: string;
  ips: readonly [string, ...string[]];
  directory: string;
}

/** How long a stop waits for pod statuses to be written, ms. */
const lastWords = 2_000;

/** Everything of the executor but Mesos: runtime, pods, the kubelet's port, the node. */
export class NodeAgent {
  readonly #given: NodeAgentOptions;
  readonly #stopping = new AbortController();
  readonly #signal: AbortSignal;
  readonly #closers: (() => Promise<void>)[] = [];
  #pods: Pods | undefined;
  #static: StaticPods | undefined;
  #statuses: StatusWriter | undefined;
  #pressures: Pressures = atEase;
  /** Known once the Node is. */
  readonly #node = Promise.withResolvers<KeptNode>();

  /** Resolves when pods can be started. Cleans up after itself when it throws. */
  static async start(given: NodeAgentOptions): Promise<NodeAgent> {
    const agent = new NodeAgent(given);
    try {
      await agent.#start();
      return agent;
    } catch (error) {
      await agent.close();
      throw error;
    }
  }

  private constructor(given: NodeAgentOptions) {
    this.#given = given;
    this.#signal = AbortSignal.any([given.signal, this.#stopping.signal]);
  }

  /** The agent may have other resources than before. */
  sizeChanged(): void {
    const written = unlessAborted(this.#node.promise, this.#signal).then((node) => node.write());
    written.catch((err: unknown) => {
      if (!this.#signal.aborted) this.#given.log.warn({ err }, 'node status could not be written');
    });
  }

  act(action: PodAction): void {
    if (action.type === 'admit') this.#pods?.admit(action.uid);
    else if (action.type === 'dismiss') this.#pods?.dismiss(action.uid);
    else this.#pods?.end(action.uid, action);
  }

  async close(): Promise<void> {
    await Promise.race([this.#statuses?.flushAll(), delay(lastWords, this.#signal).catch(() => undefined)]);
    this.#stopping.abort(new Error('the executor is stopping'));
    for (const closer of this.#closers.splice(0).reverse()) await closer();
  }

  async #start(): Promise<void> {
    const introduction = introductionIn(this.#given.info);
    const place = await this.#place(introduction);
    const { log } = this.#given;
    const own = { introduction, nodeName: place.name, file: pemOf(place, 'client'), log };
    const node = openNodeClient(own, this.#signal);
    this.#closers.push(() => node.close());
    const { client } = node;
    const runtime = await this.#openRuntime(place);
    this.#closers.push(() => runtime.close());
    const kubelet = await this.#kubelet(client, runtime, place);
    await this.#followPlugins(client, kubelet, place);
    const pods = new Pods(kubelet, (uid) => this.#static?.ended(uid));
    this.#pods = pods;
    this.#closers.push(() => pods.close());
    await this.#followPods(client, kubelet, pods);
    await this.#serve(node, introduction.ca, kubelet, pods, place);
  }

  /** Its cores, and those of its pods, are such as Mesos takes back: the agent has another executor of ours for the others. */
  get #isRevocable(): boolean {
    return (this.#given.info.executor_info.resources ?? []).some(({ revocable }) => revocable !== undefined);
  }

  async #place(introduction: Introduction): Promise<Place> {
    const { options: o, mesos } = this.#given;
    return {
      name: o.nodeName || introduction.node || (await this.#foundName(introduction)),
      ips: nodeIps(o.nodeIp, mesos.agentIp),
      directory: rootDirectory(o.rootDir, mesos.sandbox),
    };
  }

  async #foundName(introduction: Introduction): Promise<string> {
    const { mesos, info } = this.#given;
    const client = new Client(introduction);
    const { hostname } = info.agent_info;
    return findNodeName(client, mesos.agentId, hostname, this.#isRevocable, this.#signal).finally(() => client.close());
  }

  /** What the agent has, and what of it pods can have. */
  #size(): { total: Amounts; allocatable: Amounts } {
    const { agent_info, executor_info } = this.#given.info;
    const total = amountsOf(agent_info.resources ?? []);
    return { total, allocatable: subtract(total, amountsOf(executor_info.resources ?? [])) };
  }

  /** Only the one that is asked for is loaded: what the others need is some ten megabytes of memory each. */
  async #openRuntime({ name, ips: [nodeIp], directory }: Place): Promise<Runtime> {
    const { options: o, mesos, info, log } = this.#given;
    const owner = `${mesos.frameworkId}/${name}`;
    if (o.runtime === 'cri') {
      const { CriRuntime } = await import('./runtimes/cri.ts');
      return CriRuntime.open({ socket: o.criSocket, owner, nodeIp, log });
    }
    if (o.runtime === 'docker') {
      const [host, network, pauseImage] = [o.dockerHost, o.dockerNetwork, o.podInfraContainerImage];
      const { DockerRuntime } = await import('./runtimes/docker.ts');
      return DockerRuntime.open({ host, network, pauseImage, owner, nodeIp, log });
    }
    if (o.runtime === 'mesos') {
      const credentials = mesos.token === undefined ? undefined : { token: mesos.token };
      const containerId = info.container_id?.value;
      if (containerId === undefined)
        throw new Error(
          'this Mesos agent does not say which container the executor is in: use --runtime cri or docker',
        );
      const { MesosRuntime } = await import('./runtimes/mesos.ts');
      return MesosRuntime.open({
        ...{ agent: { url: mesos.agentUrl, credentials }, containerId, sandbox: mesos.sandbox },
        ...{ pid: process.pid, root: join(directory, 'mesos'), nodeIp, log },
      });
    }
    log.warn('the process runtime does not isolate: pods share this machine’s network, processes and users');
    const { ProcessRuntime } = await import('./runtimes/process.ts');
    return new ProcessRuntime({ root: join(directory, 'process'), nodeIp, log });
  }

  async #kubelet(client: Client, runtime: Runtime, { name, ips, directory }: Place): Promise<Kubelet> {
    const size = () => this.#size();
    const { options: o, mesos, log, tell } = this.#given;
    const services = new Informer(client, Service, {}, log);
    await services.start(this.#signal);
    const events = new EventRecorder(client, 'kubelet', log);
    const apiserver = apiserverOf(client, events, () => [...services.list()], this.#signal, log);
    this.#statuses = new StatusWriter(apiserver, this.#signal, log);
    return {
      runtime,
      apiserver,
      sources: new Sources(apiserver),
      statuses: this.#statuses,
      backoff: new CrashBackoff(),
      retries: new CrashBackoff(500),
      probeCounts: new ProbeCounts(),
      nodeName: name,
      nodeIps: ips,
      get allocatable() {
        return size().allocatable;
      },
      pressures: () => this.#pressures,
      sandbox: mesos.sandbox,
      volumes: join(directory, 'volumes'),
      logs: join(directory, 'logs'),
      cgroupParent: cgroupParentOf(runtime, o.cgroupParent, log),
      podMaxPids: o.podMaxPids,
      clusterDns: o.clusterDns,
      clusterDomain: o.clusterDomain,
      seccompProfiles: join(directory, 'seccomp'),
      allowedUnsafeSysctls: unsafeSysctls(o.allowedUnsafeSysctls),
      report: (uid, report) => tell({ type: 'report', uid, report }),
      log,
    };
  }

  /** Drivers mount for containers: without isolation nobody would see it. */
  async #followPlugins(client: Client, kubelet: Kubelet, { name, directory }: Place): Promise<void> {
    const { options: o, log } = this.#given;
    if (!o.pluginsRegistry || !kubelet.runtime.isolates) return;
    const writeNode = csiNodeWriter(client, name, log, this.#signal);
    const changed = (state: CsiState) => {
      writeNode(state);
      csi.sweep().catch((err: unknown) => log.debug({ err }, 'staged volumes that no pod has could not be taken back'));
    };
    const plugins = new CsiPlugins({ directory: o.pluginsRegistry, changed, log });
    const { apiserver } = kubelet;
    const csi = new CsiVolumes({
      find: (driver) => plugins.find(driver),
      apiserver,
      nodeName: name,
      root: directory,
      report: async () => (await unlessAborted(this.#node.promise, this.#signal)).write(),
    });
    kubelet.csi = csi;
    const following = await plugins.start(this.#signal);
    this.#closers.push(() => following.closed);
  }

  async #followPods(client: Client, { nodeName, statuses, runtime, volumes, csi }: Kubelet, pods: Pods): Promise<void> {
    const { options: o, log, tell } = this.#given;
    const informer = new Informer(client, Pod, { fieldSelector: `spec.nodeName=${nodeName}` }, log);
    informer.on(({ type, object }) => {
      const { uid, annotations: marks } = object.metadata;
      if (isMirrorPod(object)) return this.#static?.mirrored(object, type === 'deleted');
      if (type === 'deleted') {
        pods.lost(uid);
        if (!pods.has(uid)) tell({ type: 'unbound', uid });
        return;
      }
      tell({ type: 'bound', uid, taskId: marks?.[annotations.taskId] });
      pods.bound(object);
      statuses.seen(object);
    });
    await informer.start(this.#signal);
    this.#static = new StaticPods({
      ...{ client, nodeName, statuses, informer, pods, tell, log },
      // They belong to the machine: the other executor has them.
      path: this.#isRevocable ? '' : o.podManifestPath,
      url: this.#isRevocable ? '' : o.manifestUrl,
      fileInterval: o.fileCheckFrequency,
      urlInterval: o.httpCheckFrequency,
    });
    const following = await this.#static.start(await runtime.pods(), this.#signal);
    this.#closers.push(() => following.closed);
    // A directory that was given may be shared with others.
    const own = o.rootDir ? [] : await readdir(volumes).catch(() => []);
    await pods.sweep([...own, ...((await csi?.users()) ?? [])]);
  }

  async #serve(node: NodeClient, ca: string, kubelet: Kubelet, pods: Pods, place: Place): Promise<void> {
    const { options: o, log } = this.#given;
    const { client } = node;
    const { name, ips, directory } = place;
    const serving = await ServingCertificate.open({
      client,
      nodeName: name,
      nodeIps: ips,
      file: pemOf(place, 'serving'),
      log,
    });
    const { runtime, probeCounts: probes, volumes, logs, csi, cgroupParent } = kubelet;
    const meter = new UsageMeter(runtime);
    const disks = new DiskMeter({
      ...{ volumes, logs, images: runtime.images, log },
      volumePaths: (uid) => pods.volumePaths(uid),
    });
    const server = await startServer({
      address: o.bindAddress || ips[0],
      port: o.port,
      certificate: serving.shown,
      ca,
      clientNames: o.clientNames,
      access: delegatedAccess(client, name, this.#signal),
      node: {
        pods,
        meter,
        disks,
        probes,
        nodeName: name,
        certificates: () => ({ client: node.figures(), server: serving.figures }),
        cgroupParent,
        machine: () => machineUse(directory),
        configuration: configurationOf(o),
      },
      pods,
      runtime,
      log,
    });
    this.#closers.push(() => server.close());
    const { containerRuntimeVersion: runtimeVersion } = await runtime.version();
    const believe = (text: string, signer: X509Certificate) => {
      node.believe(text, signer);
      server.believe(text);
      serving.signedBy(signer);
    };
    followAuthorities(client, ca, believe, { signal: this.#signal, log });
    const { port } = server;
    const { nodeStatusInterval: statusInterval, leaseInterval } = o;
    const readings = async () => machineReadings(directory, await runtime.images.directory().catch(() => undefined));
    const kept = await keepNode(
      {
        client,
        name,
        ips,
        port,
        fingerprints: () => serving.fingerprints,
        runtimeVersion,
        images: () => runtime.images.list(),
        unready: async () => runtime.unready?.(),
        readings,
        pressed: (pressures) => (this.#pressures = pressures),
        volumesInUse: async () => (await csi?.inUse()) ?? [],
        size: () => (this.#isRevocable ? undefined : this.#size()),
        statusInterval,
        leaseInterval,
        podCidr: async (cidr) => runtime.setPodCidr?.(cidr),
        said: () => kubelet.statuses.insist(),
        log,
      },
      this.#signal,
    );
    this.#closers.push(() => kept.closed);
    this.#node.resolve(kept);
    const parts = { show: (pair: KeyPair) => server.show(pair), write: () => kept.write() };
    // Who is no node by name is given none.
    const signed = node.certified.then(
      () => serving.keep(parts, this.#signal),
      () => undefined, // we are ending
    );
    this.#closers.push(() => signed);
    const images = new ImageCollector(runtime.images, log);
    const pidsOf = (pod: Pod) => pidsOfPod(pod, cgroupParent);
    // Without isolation it cannot be told who uses the machine up: there only a pod's own limits count.
    const watched = watchPressure(
      { pods, meter, images, readings, evicts: runtime.isolates, volumes, logs, pidsOf, log },
      this.#signal,
    );
    this.#closers.push(() => watched);
  }
}

/** Both nodes of an agent may have one directory. */
const pemOf = ({ directory, name }: Place, what: string): string => join(directory, 'pki', `${name}.${what}.pem`);

/** As much of KubeletConfiguration as this kubelet has. */
const configurationOf = (o: Options): object => ({
  kind: 'KubeletConfiguration',
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  port: o.port,
  podPidsLimit: o.podMaxPids || -1,
  clusterDNS: o.clusterDns,
  clusterDomain: o.clusterDomain,
  ...(o.podManifestPath ? { staticPodPath: o.podManifestPath } : {}),
  ...(o.manifestUrl ? { staticPodURL: o.manifestUrl } : {}),
  allowedUnsafeSysctls: o.allowedUnsafeSysctls,
  fileCheckFrequency: `${o.fileCheckFrequency / 1000}s`,
  httpCheckFrequency: `${o.httpCheckFrequency / 1000}s`,
  nodeStatusUpdateFrequency: `${o.nodeStatusInterval / 1000}s`,
  authentication: { anonymous: { enabled: false }, webhook: { enabled: true } },
  authorization: { mode: 'Webhook' },
  containerRuntimeEndpoint: { cri: o.criSocket, docker: o.dockerHost, process: '', mesos: '' }[o.runtime],
});
