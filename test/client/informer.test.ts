import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { StatusError } from '../../api/status.ts';
import { Client } from '../../client/client.ts';
import { Informer, Informers } from '../../client/informer.ts';
import { silent } from '../../lib/log.ts';
import { adminToken, startServer, type TestServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';

let server: TestServer;
let client: Client;
const namespace = 'default';
const stopping = new AbortController();
beforeAll(async () => {
  server = await startServer();
  client = server.client();
  for (const name of ['a', 'b']) await client.create(ConfigMap, { metadata: { name, namespace }, data: { k: name } });
});
afterAll(async () => {
  stopping.abort();
  await server.stop();
});

/** Counts what is asked, and refuses streams where it plays an older server. */
class Counting extends Client {
  lists = 0;
  streams = 0;
  readonly #isOld: boolean;

  constructor(isOld = false) {
    super({ server: server.url, ca: server.ca.pem, token: adminToken });
    this.#isOld = isOld;
  }

  override list: Client['list'] = (...given) => {
    this.lists += 1;
    return super.list(...given);
  };

  override watch: Client['watch'] = (kind, options, signal) => {
    if (options.sendInitialEvents) {
      this.streams += 1;
      if (this.#isOld) throw new StatusError(422, 'Invalid', 'sendInitialEvents is forbidden for watch');
    }
    return super.watch(kind, options, signal);
  };
}

const names = (informer: Informer<ConfigMap>) => [...informer.list()].map(({ metadata }) => metadata.name).sort();

test('an informer that is sent what is there asks for no list', async () => {
  const own = new Counting();
  const informer = new Informer(own, ConfigMap, { namespace, streaming: true }, silent);
  await informer.start(stopping.signal);
  expect(names(informer)).toEqual(['a', 'b']);
  await client.create(ConfigMap, { metadata: { name: 'c', namespace } });
  await eventually(() => expect(names(informer)).toEqual(['a', 'b', 'c']));
  await client.delete(ConfigMap, { name: 'c', namespace });
  await eventually(() => expect(names(informer)).toEqual(['a', 'b']));
  expect([own.lists, own.streams]).toEqual([0, 1]);
  await own.close();
});

test('where the server cannot, it asks for lists from then on', async () => {
  const own = new Counting(true);
  const informer = new Informer(own, ConfigMap, { namespace, streaming: true }, silent);
  await informer.start(stopping.signal);
  expect(names(informer)).toEqual(['a', 'b']);
  expect([own.lists, own.streams]).toEqual([1, 1]);
  await own.close();
});

test('in development a write to a shared object throws', async () => {
  const before = process.env['NODE_ENV'];
  process.env['NODE_ENV'] = 'development';
  const careful = new Informer(client, ConfigMap, { namespace }, silent);
  process.env['NODE_ENV'] = before;
  const fast = new Informer(client, ConfigMap, { namespace }, silent);
  await Promise.all([careful.start(stopping.signal), fast.start(stopping.signal)]);
  const change = (informer: Informer<ConfigMap>) => () => {
    const { data = {} } = informer.get('default/a') ?? { data: {} };
    data['k'] = 'changed';
  };
  expect(change(careful)).toThrow(TypeError);
  expect(change(fast)).not.toThrow();
});

test('managed fields are left out where nobody wants them, and are not lost by who writes such a copy back', async () => {
  const ref = { namespace, name: 'b' };
  const before = (await client.get(ConfigMap, ref)).metadata.managedFields;
  const informers = new Informers(client, silent, { managedFields: false });
  const lean = informers.of(ConfigMap, { namespace });
  await informers.start(stopping.signal);
  const copy = lean.get('default/b') ?? (await client.get(ConfigMap, ref));
  expect(copy.metadata).not.toHaveProperty('managedFields');
  expect(before).toHaveLength(1);
  await client.update(ConfigMap, { ...copy, data: { k: 'b', more: 'x' } });
  expect((await client.get(ConfigMap, ref)).metadata.managedFields).toHaveLength(1);
});
