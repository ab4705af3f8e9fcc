import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Lease } from '../../api/kinds/lease.ts';
import { StatusError, isAlreadyExists, isConflict, isNotFound } from '../../api/status.ts';
import { Client } from '../../client/client.ts';
import { EventRecorder } from '../../client/events.ts';
import { type Change, Informer } from '../../client/informer.ts';
import { lead } from '../../client/lease.ts';
import { Event } from '../../api/kinds/event.ts';
import { silent } from '../../lib/log.ts';
import { adminToken, startServer, type TestServer } from '../apiserver/harness.ts';
import { Registry } from 'prom-client';
import { eventually } from '../eventually.ts';

let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(async () => {
  await server.stop();
});

const configMap = (name: string, data: Record<string, string> = {}) => ({
  metadata: { name, namespace: 'default' },
  data,
});

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => error,
  );

describe('the client', () => {
  test('creates, reads, patches, updates, lists and deletes', async () => {
    const created = await client.create(ConfigMap, configMap('crud', { a: '1' }));
    expect(created.metadata.uid).toBeTruthy();
    const patched = await client.patch(ConfigMap, created.metadata, { data: { b: '2' } });
    expect(patched.data).toEqual({ a: '1', b: '2' });
    const updated = await client.update(ConfigMap, { ...patched, data: { c: '3' } });
    expect(updated.data).toEqual({ c: '3' });
    expect(isConflict(await failure(client.update(ConfigMap, { ...patched, data: {} })))).toBe(true);
    expect(
      (await client.list(ConfigMap, { namespace: 'default' })).items.map(({ metadata }) => metadata.name),
    ).toContain('crud');
    await client.delete(ConfigMap, created.metadata);
    expect(isNotFound(await failure(client.get(ConfigMap, created.metadata)))).toBe(true);
  });

  test('throws the Status the server sent', async () => {
    await client.create(ConfigMap, configMap('twice'));
    const error = await client.create(ConfigMap, configMap('twice')).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StatusError);
    expect(isAlreadyExists(error)).toBe(true);
    expect((error as StatusError).status.details).toMatchObject({ name: 'twice', kind: 'configmaps' });
  });

  test('uses a connection again, whatever it asked before', async () => {
    let connections = 0;
    const count = () => void (connections += 1);
    const other = new Client({ server: server.url, ca: server.ca.pem, token: adminToken });
    subscribe('undici:client:connected', count);
    try {
      for (let i = 0; i < 10; i += 1) {
        const { metadata } = await other.create(ConfigMap, configMap(`again-${i}`));
        await other.delete(ConfigMap, metadata, { preconditions: { uid: metadata.uid } });
        expect(isNotFound(await failure(other.get(ConfigMap, metadata)))).toBe(true);
      }
      expect(connections).toBeLessThan(5);
    } finally {
      unsubscribe('undici:client:connected', count);
      await other.close();
    }
  });

  test('watches from a version on', async () => {
    const { metadata } = await client.list(ConfigMap, { namespace: 'default' });
    const stop = new AbortController();
    const seen: string[] = [];
    await client.create(ConfigMap, configMap('w1'));
    await client.create(ConfigMap, configMap('w2'));
    const events = client.watch(
      ConfigMap,
      { namespace: 'default', resourceVersion: metadata.resourceVersion },
      stop.signal,
    );
    for await (const event of events) {
      seen.push(`${event.type} ${'name' in event.object.metadata ? event.object.metadata.name : ''}`);
      if (seen.length === 2) break;
    }
    stop.abort();
    expect(seen).toEqual(['ADDED w1', 'ADDED w2']);
  });

  test('does not reach a server whose certificate it does not trust', async () => {
    const stranger = new Client({ server: server.url, token: adminToken });
    await expect(stranger.list(ConfigMap)).rejects.toThrow(/certificate/);
    await stranger.close();
  });
});

describe.each([
  ['that lists', false],
  ['that is sent what is there', true],
])('an informer %s', (_how, streaming) => {
  test('has what is there, follows changes in order, and finds by index', async () => {
    await client.create(ConfigMap, configMap('i1', { colour: 'red' }));
    const stop = new AbortController();
    const informer = new Informer(
      client,
      ConfigMap,
      { namespace: 'default', streaming, indexes: { colour: ({ data }) => (data?.colour ? [data.colour] : []) } },
      silent,
    );
    await informer.start(stop.signal);
    const changes: string[] = [];
    informer.on((change: Change<{ metadata: { name?: string } }>) => {
      if (change.object.metadata.name?.startsWith('i')) changes.push(`${change.type} ${change.object.metadata.name}`);
      if (change.type === 'deleted') expect(change.isStale).toBe(false);
    });
    expect(informer.by('colour', 'red').map(({ metadata }) => metadata.name)).toEqual(['i1']);
    await client.create(ConfigMap, configMap('i2', { colour: 'red' }));
    await client.patch(ConfigMap, { namespace: 'default', name: 'i1' }, { data: { colour: 'blue' } });
    await client.delete(ConfigMap, { namespace: 'default', name: 'i2' });
    await eventually(() => expect(changes).toEqual(['added i1', 'added i2', 'updated i1', 'deleted i2']));
    expect(informer.by('colour', 'red')).toEqual([]);
    expect(informer.by('colour', 'blue').map(({ metadata }) => metadata.name)).toEqual(['i1']);
    stop.abort();
    await client.delete(ConfigMap, { namespace: 'default', name: 'i1' });
  });

  test('tells of deletions it slept through, and of a new object under an old name', async () => {
    // The history of this server is so short that a watch cannot resume after the pause.
    const short = await startServer({ watchHistory: 16 });
    const own = new Client({ server: short.url, ca: short.ca.pem, token: adminToken });
    const stop = new AbortController();
    for (const name of ['stays', 'goes', 'again']) await own.create(ConfigMap, configMap(name));
    let pause = Promise.resolve();
    let watches = 0;
    const resuming = Promise.withResolvers<void>();
    const paused = Object.assign(Object.create(own) as Client, {
      watch: async function* (...args: Parameters<Client['watch']>) {
        watches += 1;
        if (watches === 2) resuming.resolve();
        await pause;
        const brief = AbortSignal.any([args[2]!, AbortSignal.timeout(300)]);
        try {
          yield* own.watch(args[0], args[1], brief);
        } catch (error) {
          if (!brief.aborted) throw error;
        }
      },
      list: own.list.bind(own),
    });
    const informer = new Informer(paused, ConfigMap, { namespace: 'default', streaming }, silent);
    await informer.start(stop.signal);
    const uid = informer.get('default/again')!.metadata.uid;
    const resume = Promise.withResolvers<void>();
    pause = resume.promise;
    const changes: string[] = [];
    informer.on((change) => {
      const stale = change.type === 'deleted' && change.isStale ? ' (stale)' : '';
      changes.push(`${change.type} ${change.object.metadata.name}${stale}`);
    });
    changes.length = 0;
    // Wait until the running watch has ended, then change things unseen.
    await resuming.promise;
    await own.delete(ConfigMap, { namespace: 'default', name: 'goes' });
    await own.delete(ConfigMap, { namespace: 'default', name: 'again' });
    await own.create(ConfigMap, configMap('again'));
    for (let i = 0; i < 40; i++)
      await own.patch(ConfigMap, { namespace: 'default', name: 'stays' }, { data: { n: String(i) } });
    resume.resolve();
    await eventually(() => expect(changes).toContain('deleted goes (stale)'));
    await eventually(() => expect(informer.get('default/again')!.metadata.uid).not.toBe(uid));
    expect(informer.size).toBe(2);
    stop.abort();
    await own.close();
    await short.stop();
  });
});

describe('events', () => {
  test('that repeat are counted, not written again', async () => {
    const recorder = new EventRecorder(client, 'test', silent);
    const about = { kind: 'Pod', namespace: 'default', name: 'p', uid: 'u' };
    for (let i = 0; i < 5; i++) recorder.record(about, 'Warning', 'BackOff', 'restarting');
    recorder.record(about, 'Normal', 'Pulled', 'there');
    await recorder.flush();
    const { items } = await client.list(Event, { namespace: 'default', fieldSelector: 'involvedObject.uid=u' });
    expect(items.map(({ reason, count }) => [reason, count]).sort()).toEqual([
      ['BackOff', 5],
      ['Pulled', 1],
    ]);
  });

  test('beyond what may wait are dropped, and never fail their caller', async () => {
    const away = new Client({ server: 'https://127.0.0.1:1' });
    const recorder = new EventRecorder(away, 'test', silent, { limit: 3 });
    for (let i = 0; i < 100; i++) recorder.record({ kind: 'Pod', name: `p${i}` }, 'Normal', 'X', 'y');
    await recorder.flush();
    await away.close();
  });
});

describe('a lease', () => {
  const options = (identity: string, signal: AbortSignal) => ({
    client,
    name: 'test-lead',
    identity,
    log: silent,
    signal,
    leaseDuration: 1500,
    renewDeadline: 1000,
    retryPeriod: 100,
  });

  test('has one holder; the next follows when it is released, or when it falls silent', async () => {
    const stop = new AbortController();
    const registry = new Registry();
    const status = () => registry.getSingleMetricAsString('leader_election_master_status');
    const first = await lead({ ...options('one', stop.signal), registry });
    expect(await status()).toContain('leader_election_master_status{name="test-lead"} 1');
    let second: Awaited<ReturnType<typeof lead>> | undefined;
    const waiting = lead(options('two', stop.signal)).then((won) => (second = won));
    await eventually(async () =>
      expect((await client.get(Lease, { namespace: 'kube-system', name: 'test-lead' })).spec?.holderIdentity).toBe(
        'one',
      ),
    );
    expect(second).toBeUndefined();
    await first.release();
    await waiting;
    expect(first.lost.aborted).toBe(true);
    expect(await status()).toContain('leader_election_master_status{name="test-lead"} 0');

    const silentOne = new AbortController();
    await second!.release();
    await lead(options('three', silentOne.signal));
    silentOne.abort();
    const fourth = await lead(options('four', stop.signal));
    expect(fourth.lost.aborted).toBe(false);
    stop.abort();
  });

  test('that another took is lost', async () => {
    const stop = new AbortController();
    const leading = await lead({ ...options('five', stop.signal), name: 'taken' });
    await client.patch(Lease, { namespace: 'kube-system', name: 'taken' }, { spec: { holderIdentity: 'thief' } });
    await eventually(() => expect(leading.lost.aborted).toBe(true));
    stop.abort();
  });
});
