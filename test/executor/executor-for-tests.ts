import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { annotations } from '../../api/kinds/names.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { Node } from '../../api/kinds/node.ts';
import * as apiserver from '../../apiserver/index.ts';
import { Client } from '../../client/client.ts';
import * as controllers from '../../controllers/index.ts';
import { type Options, options, start } from '../../executor/index.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { makeCa } from '../pki.ts';
import { TestAgent } from './agent.ts';
import { eventually } from './pods-for-tests.ts';

/** What an executor finds: an apiserver, and an agent that the test plays. */
export interface ExecutorPlace {
  directory: string;
  agent: TestAgent;
  /** May do everything. */
  client: Client;
  kubeconfig: string;
  /** The controllers by which nodes get certificates; until they are stopped, or all is. */
  startSigning(given?: Partial<Parameters<typeof controllers.start>[0]>): Promise<{ stop(): Promise<void> }>;
  create(pod: Pod): Promise<Pod & Stored>;
  /** What the scheduler and the framework do to a pod: launch, wait for STARTING, bind. */
  place(pod: Pod): Promise<{ pod: Pod & Stored; taskId: string }>;
  close(): Promise<void>;
}

export interface ExecutorForTests extends ExecutorPlace {
  /** With what the executor ends that runs now. */
  readonly closed: Promise<string>;
  /** Ends the executor and starts it anew, as the agent would. */
  restart(): Promise<void>;
}

/** The agent's node, as the framework made it. */
export const testNode = 'node-one-5051';

/** What executors show at first: of old a token that does all, or one that joins and the name of the node. */
export interface Joining {
  group?: 'system:nodes' | 'system:bootstrappers';
  apiserver?: (caFile: string) => Partial<apiserver.Options>;
}

export async function executorPlace({ group = 'system:nodes', apiserver: more }: Joining = {}): Promise<ExecutorPlace> {
  const directory = mkdtempSync('/dev/shm/km-executor-');
  const stopping = new AbortController();
  const pki = await makeCa();
  const file = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const [serving, admin] = [await pki.issue('kubernetes'), await pki.issue('admin', 'system:masters')];
  const server = await apiserver.start(
    {
      ...defaultsOf(apiserver.options),
      // No controller makes accounts here.
      disableAdmissionPlugins: ['ServiceAccount'],
      port: 0,
      tlsCertFile: file('serving.crt', serving.cert),
      tlsKeyFile: file('serving.key', serving.key),
      clientCaFile: file('ca.crt', pki.pem),
      tokenAuthFile: file('tokens', `executor-token,system:bootstrap:executor,executor,"${group}"\n`),
      kubeletClientCertFile: file('admin.crt', admin.cert),
      kubeletClientKeyFile: file('admin.key', admin.key),
      ...more?.(join(directory, 'ca.crt')),
    },
    { log: silent, signal: stopping.signal },
  );
  const client = new Client({ server: server.url, ca: pki.pem, ...admin });
  const user = { 'client-certificate': join(directory, 'admin.crt'), 'client-key': join(directory, 'admin.key') };
  const cluster = { server: server.url, 'certificate-authority': join(directory, 'ca.crt') };
  const kubeconfig = file(
    'kubeconfig',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  // What the framework does at sight of an agent.
  await client.create(Node, {
    metadata: { name: testNode, annotations: { [annotations.agentId]: 'agent-1' } },
    spec: {},
  });
  const node = group === 'system:bootstrappers' ? { node: testNode } : {};
  const agent = await TestAgent.start({ server: server.url, ca: pki.pem, token: 'executor-token', ...node });
  const startSigning: ExecutorPlace['startSigning'] = async (given = {}) => {
    const [ending, all] = [new AbortController(), defaultsOf(controllers.options)];
    const signal = AbortSignal.any([ending.signal, stopping.signal]);
    const clusterSigning = {
      clusterSigningCertFile: join(directory, 'ca.crt'),
      clusterSigningKeyFile: file('ca.key', pki.key),
    };
    const names = ['csr-approving', 'csr-signing', 'kubelet-serving-approving'];
    const running = await controllers.start(
      { ...all, controllers: names, ...clusterSigning, ...given },
      { client, log: silent, signal },
    );
    return {
      async stop() {
        ending.abort();
        await running.closed;
      },
    };
  };
  const create = async (pod: Pod) => {
    const { uid: _, resourceVersion: __, ...metadata } = pod.metadata;
    return client.create(Pod, { ...pod, metadata });
  };
  const place = async (given: Pod) => {
    const pod = await create(given);
    const { name, uid, namespace = 'default' } = pod.metadata;
    const taskId = agent.launch({ namespace, name, uid });
    await eventually(() => agent.states(taskId).includes('TASK_STARTING'), 'TASK_STARTING');
    await client.raw('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, annotations: { [annotations.taskId]: taskId } },
      target: { kind: 'Node', name: testNode },
    });
    return { pod, taskId };
  };
  return {
    ...{ create, place, directory, agent, client, kubeconfig, startSigning },
    close: async () => {
      agent.close();
      await client.close();
      stopping.abort();
      await server.closed;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A real executor between the two; without `joining` it gets its certificates as in a cluster. */
export async function startExecutorForTests(
  given: Partial<Options> = {},
  joining?: Joining,
): Promise<ExecutorForTests> {
  const place = await executorPlace(joining ?? { group: 'system:bootstrappers' });
  if (!joining) await place.startSigning();
  const { agent, directory } = place;
  const open = async () => {
    const stop = new AbortController();
    const before = agent.subscriptions.length;
    const { closed } = await start(
      { ...defaultsOf(options), ...given },
      { log: silent, signal: stop.signal, env: agent.env(join(directory, 'sandbox')) },
    );
    await eventually(() => agent.subscriptions.length > before, 'the subscription');
    return { closed, stop };
  };
  let executor = await open();
  const end = async () => {
    executor.stop.abort();
    await executor.closed;
  };
  return {
    ...place,
    get closed() {
      return executor.closed;
    },
    restart: async () => {
      await end();
      executor = await open();
    },
    close: async () => {
      await end();
      await place.close();
    },
  };
}
