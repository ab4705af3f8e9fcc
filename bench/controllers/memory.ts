/** What an informer with 100,000 pods takes, in a process that does nothing else. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Pod } from '../../api/kinds/pod.ts';
import { Client } from '../../client/client.ts';
import { openEmbedded } from '../../apiserver/embedded.ts';
import type { Store } from '../../apiserver/store.ts';
import { Informers } from '../../client/informer.ts';
import { silent } from '../../lib/log.ts';
import { adminToken, startServer } from '../../test/apiserver/harness.ts';
import { running } from '../../test/controllers/harness.ts';
import { report } from '../report.ts';

const pods = 100_000;
const prefix = '/registry/core/pods/default/';

export async function memory(): Promise<void> {
  const server = fork(import.meta.filename, ['serve']);
  const [url] = (await once(server, 'message')) as [string];
  const informer = fork(import.meta.filename, ['informer', url]);
  const [{ resident, heap, size }] = (await once(informer, 'message')) as [Told];
  informer.kill();
  server.disconnect();
  await once(server, 'exit');
  if (size !== pods) throw new Error(`the informer has ${size} pods`);
  const common = { bench: 'controllers', unit: 'MB', goal: 1000, lower: true } as const;
  report({ ...common, case: 'an informer of 100,000 pods, resident', value: resident });
  report({ ...common, case: 'an informer of 100,000 pods, on the heap', value: heap });
}

/** One child: an apiserver over so many pods; which store it has is nothing to the informer. */
async function serve(): Promise<void> {
  const gone = once(process, 'disconnect');
  const store = openEmbedded(':memory:');
  await fill(store, await storedPod(store));
  const server = await startServer({}, { store });
  process.send?.(server.url);
  await gone;
  await server.stop();
  await store.close();
}

/** A pod as it is stored, with what a Deployment, a scheduler and a kubelet write. */
async function storedPod(store: Store): Promise<string> {
  const server = await startServer({}, { store });
  const client = new Client({ server: server.url, token: adminToken, insecure: true });
  const env = Array.from({ length: 8 }, (_, i) => ({ name: `SETTING_${i}`, value: `value ${i} of this container` }));
  const resources = { requests: { cpu: '250m', memory: '64Mi' }, limits: { memory: '128Mi' } };
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d9', uid: '0b1c', controller: true };
  await client.create(Pod, {
    metadata: {
      ...{ name: 'model', namespace: 'default', labels: { app: 'web', 'pod-template-hash': '5d9' } },
      ownerReferences: [owner],
    },
    spec: { nodeName: 'node-17', containers: [{ name: 'c', image: 'registry/web:1.2.3', env, resources }] },
  });
  const state = { running: { startedAt: '2026-01-01T00:00:00Z' } };
  const containerStatuses = [{ name: 'c', ready: true, restartCount: 0, image: 'web', imageID: 'sha256:abc', state }];
  const status = { ...running(), hostIP: '10.1.2.3', startTime: '2026-01-01T00:00:00Z', containerStatuses };
  await client.patch(Pod, { namespace: 'default', name: 'model' }, { status }, { subresource: 'status' });
  const { item } = await store.get(`${prefix}model`);
  if (item) await store.delete(`${prefix}model`, item.revision);
  await client.close();
  await server.stop();
  return Buffer.from(item?.value ?? []).toString();
}

async function fill(store: Store, model: string): Promise<void> {
  const uid = /"uid":"([0-9a-f-]{36})"/.exec(model)?.[1] ?? '';
  for (let i = 0; i < pods; i += 1) {
    const number = String(i).padStart(6, '0');
    const name = `web-5d9-${number}`;
    const text = model.replaceAll('"model"', `"${name}"`).replaceAll(uid, `${uid.slice(0, -6)}${number}`);
    await store.put(`${prefix}${name}`, Buffer.from(text), 0);
  }
}

interface Told {
  resident: number;
  heap: number;
  size: number;
}

/** The child: what it takes once everything is in. */
async function tell(server: string): Promise<void> {
  const informers = new Informers(new Client({ server, token: adminToken, insecure: true }), silent, {
    managedFields: false,
  });
  const indexes = {
    node: (pod: Pod) => [pod.spec.nodeName ?? ''],
    namespace: ({ metadata }: Pod) => [metadata.namespace ?? ''],
  };
  const cache = informers.of(Pod, { indexes });
  await informers.start(new AbortController().signal);
  const resident = process.memoryUsage().rss;
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
  const { heapUsed, external } = process.memoryUsage();
  const mega = 1024 * 1024;
  process.send?.({ resident: resident / mega, heap: (heapUsed + external) / mega, size: cache.size } satisfies Told);
}

if (process.argv[2] === 'serve') await serve();
else if (process.argv[2] === 'informer') await tell(process.argv[3] ?? '');
