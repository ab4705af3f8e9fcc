import { Pod } from '../../api/kinds/pod.ts';
import { Informers } from '../../client/informer.ts';
import type { Stored } from '../../api/meta.ts';
import { Figures, options, start } from '../../controllers/index.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import type { Options as ApiServerOptions } from '../../apiserver/index.ts';
import type { Store } from '../../apiserver/store.ts';
import { adminToken, startServer } from '../apiserver/harness.ts';

const controllerToken = 'controller-token';

/** A real apiserver with all controllers at work on it, as the user they have in a cluster. */
export async function startControllers(
  overrides: Partial<ReturnType<typeof defaultsOf<typeof options>>> = {},
  apiserver: Partial<ApiServerOptions> = {},
  /** Kept by the caller, so that another server may follow. */
  store?: Store,
) {
  const tokens = [
    { token: adminToken, user: { name: 'admin', groups: ['system:masters'] } },
    { token: controllerToken, user: { name: 'system:kube-controller-manager', groups: [] } },
  ];
  const server = await startServer(
    { disableAdmissionPlugins: ['ServiceAccount'], ...apiserver },
    { tokens, ...(store ? { store } : {}) },
  );
  const [client, own] = [server.client(), server.client(controllerToken)];
  const stopping = new AbortController();
  const { signal } = stopping;
  const figures = new Figures();
  const { closed, pages } = await start(
    { ...defaultsOf(options), ...overrides },
    { client: own, log: silent, signal, figures },
  );
  return {
    server,
    client,
    /** What the controllers do, and as whom. */
    figures,
    /** What they show on their port. */
    pages,
    own,
    signal,
    /** More controllers beside or after the first ones. */
    async another(given: Partial<ReturnType<typeof defaultsOf<typeof options>>>) {
      const ending = new AbortController();
      const all = AbortSignal.any([ending.signal, signal]);
      const second = await start({ ...defaultsOf(options), ...given }, { client: own, log: silent, signal: all });
      return {
        async stop() {
          ending.abort();
          await second.closed;
        },
      };
    },
    async stop() {
      stopping.abort();
      await closed;
      await server.stop();
    },
    /** Plays the kubelets: whatever pod comes for which `answer` has a status gets it. */
    async runPods(answer: (pod: Pod & Stored) => Pod['status'] | undefined = running) {
      const informers = new Informers(client, silent);
      informers.of(Pod).on(({ type, object }) => {
        const status = type === 'deleted' || object.status?.phase !== 'Pending' ? undefined : answer(object);
        if (status)
          void client.patch(Pod, object.metadata, { status }, { subresource: 'status' }).catch(() => undefined);
      });
      await informers.start(signal);
    },
    /** What a kubelet would write of a pod that runs. */
    async setReady(name: string, namespace = 'default', ip = '10.0.0.1') {
      const status = running(undefined, ip);
      await client.patch(Pod, { namespace, name }, { status }, { subresource: 'status' });
    },
    async podsOf(app: string, namespace = 'default') {
      const { items } = await client.list(Pod, { namespace, labelSelector: `app=${app}` });
      return items.filter(({ metadata }) => !metadata.deletionTimestamp);
    },
  };
}

export type Controllers = Awaited<ReturnType<typeof startControllers>>;

/** What has the image `none` never runs; everything else does. */
export const allButNone = ({ spec }: Pod): Pod['status'] | undefined =>
  spec.containers[0]?.image === 'none' ? undefined : running();

/** The status of a pod that runs and is ready. */
export function running(_pod?: unknown, ip = '10.0.0.1'): NonNullable<Pod['status']> {
  const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z/, 'Z');
  const condition = (type: string) => ({ type, status: 'True' as const, lastTransitionTime });
  return {
    phase: 'Running',
    podIP: ip,
    podIPs: [{ ip }],
    conditions: [condition('Ready'), condition('ContainersReady')],
  };
}

export const deployment = (name: string, replicas: number, image = 'busybox:1', extra: object = {}) => ({
  metadata: { name, namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image }] } },
    ...extra,
  },
});
