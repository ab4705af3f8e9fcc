/** etcd, an apiserver in a process of its own, and the controllers in this one, as the user they have in a cluster. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Client } from '../../client/client.ts';
import { Informers } from '../../client/informer.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { freePort } from '../../cli/ports.ts';
import { options, start } from '../../controllers/index.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { type EtcdProcess, startEtcd } from '../../test/apiserver/etcd-process.ts';
import { adminToken } from '../../test/apiserver/harness.ts';

export const controllersToken = 'controllers-token';

export interface World {
  etcd: EtcdProcess;
  server: ChildProcess & { pid: number };
  url: string;
  client: Client;
  signal: AbortSignal;
  stop(): Promise<void>;
}

const clientOf = (server: string, token: string) => new Client({ server, token, insecure: true });

export async function startWorld(given: Partial<ReturnType<typeof defaultsOf<typeof options>>> = {}): Promise<World> {
  const etcd = await startEtcd();
  // Whatever ends this process, etcd does not outlive it.
  process.once('exit', () => {
    const pid = etcd.pid();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  });
  const port = await freePort();
  const server = fork(join(import.meta.dirname, 'server.ts'), [etcd.url, String(port)]);
  await once(server, 'message');
  const url = `https://127.0.0.1:${port}`;
  const stopping = new AbortController();
  const { signal } = stopping;
  const [client, own] = [clientOf(url, adminToken), clientOf(url, controllersToken)];
  const { closed } = await start({ ...defaultsOf(options), ...given }, { client: own, log: silent, signal });
  const { pid } = server;
  if (pid === undefined) throw new Error('the apiserver did not start');
  return {
    etcd,
    server: Object.assign(server, { pid }),
    url,
    client,
    signal,
    async stop() {
      stopping.abort();
      await closed;
      await Promise.all([client.close(), own.close()]);
      server.disconnect();
      await once(server, 'exit');
      await etcd.stop();
    },
  };
}

/** All pods as they come and go, seen by nobody but the bench. */
export async function watchPods({ url, signal }: World) {
  const informers = new Informers(clientOf(url, adminToken), silent);
  const pods = informers.of(Pod);
  await informers.start(signal);
  return pods;
}

export async function until(holds: () => boolean | Promise<boolean>, ms = 5): Promise<void> {
  while (!(await holds())) await delay(ms);
}
