// Every ConfigMap with the label `greet` has a Greeting beside it: a ConfigMap `<name>-greeting` that it owns.
import {
  Client,
  EventRecorder,
  Informers,
  createLog,
  createWorld,
  defaultOptions,
  keyOf,
  run,
  watching,
} from 'km/client';
import { ConfigMap } from 'km/kinds/config-map';
import type { Reconciler, World } from 'km/client';

function greeter({ client, informer, events }: World): Reconciler {
  const maps = informer(ConfigMap);
  return {
    name: 'greeter',
    watches: [
      watching(maps),
      // Whoever deletes or changes a greeting wakes the one it is for.
      watching(maps, ({ object: { metadata } }) =>
        (metadata.ownerReferences ?? []).map(({ name }) => `${metadata.namespace}/${name}`),
      ),
    ],
    async reconcile(key, signal) {
      const map = maps.get(key);
      const whom = map?.metadata.labels?.['greet'];
      if (!map || !whom || map.metadata.deletionTimestamp) return;
      const name = `${map.metadata.name}-greeting`;
      const said = maps.get(keyOf({ metadata: { ...map.metadata, name } }))?.data?.['text'];
      const text = `Hello, ${whom}!`;
      if (said === text) return;
      const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: map.metadata.name, uid: map.metadata.uid };
      const metadata = { name, namespace: map.metadata.namespace ?? '', ownerReferences: [owner] };
      await client.apply(ConfigMap, { metadata, data: { text } }, { fieldManager: 'greeter', force: true }, signal);
      events.record({ kind: 'ConfigMap', apiVersion: 'v1', metadata: map.metadata }, 'Normal', 'Greeted', text);
    },
  };
}

const stopping = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopping.abort());
const { signal } = stopping;

const log = createLog({ level: 'info', pretty: false });
const client = new Client({ ...defaultOptions(), userAgent: 'greeter' });
const informers = new Informers(client, log);
const reconciler = greeter(createWorld(client, informers, new EventRecorder(client, 'greeter', log), log));
await informers.start(signal);
log.info('greeting');
await run(reconciler, { log, signal });
await client.close();
