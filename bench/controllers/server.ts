/** The apiserver of a bench: `node server.ts <etcd> <port>`, forked. */
import { aborted } from '../../lib/delay.ts';
import { adminToken, startServer } from '../../test/apiserver/harness.ts';
import { controllersToken } from './world.ts';

const [etcd = '', port = ''] = process.argv.slice(2);
const stopping = new AbortController();
process.once('disconnect', () => stopping.abort());
const tokens = [
  { token: adminToken, user: { name: 'admin', groups: ['system:masters'] } },
  { token: controllersToken, user: { name: 'system:kube-controller-manager', groups: [] } },
];
const server = await startServer(
  { etcdServers: [etcd], port: Number(port), disableAdmissionPlugins: ['ServiceAccount'] },
  { tokens },
);
process.send?.('ready');
await aborted(stopping.signal);
await server.stop();
