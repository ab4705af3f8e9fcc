import { Pod } from '../../api/kinds/pod.ts';
import { Client } from '../../client/client.ts';
import { options, start } from '../../controllers/index.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import type { Options as ApiServerOptions } from '../../apiserver/index.ts';
import { adminToken, startServer } from '../apiserver/harness.ts';

/** A real apiserver with all controllers at work on it. */
export async function startControllers(overrides: Partial<ApiServerOptions> = {}) {
  const server = await startServer(overrides);
  const client = new Client({ server: server.url, ca: server.ca.pem, token: adminToken });
  const stopping = new AbortController();
  const { closed } = await start(defaultsOf(options), { client, log: silent, signal: stopping.signal });
  return {
    server,
    client,
    async stop() {
      stopping.abort();
      await closed;
      await client.close();
      await server.stop();
    },
    /** What a kubelet would write of a pod that runs. */
    async setReady(name: string, namespace = 'default', ip = '10.0.0.1') {
      const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
      const condition = (type: string) => ({ type, status: 'True', lastTransitionTime: now });
      const status = {
        phase: 'Running',
        podIP: ip,
        podIPs: [{ ip }],
        conditions: [condition('Ready'), condition('ContainersReady')],
      };
      await client.patch(Pod, { namespace, name }, { status }, { subresource: 'status' });
    },
    async podsOf(app: string, namespace = 'default') {
      const { items } = await client.list(Pod, { namespace, labelSelector: `app=${app}` });
      return items.filter(({ metadata }) => !metadata.deletionTimestamp);
    },
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
