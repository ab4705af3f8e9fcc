import { spawn, type ChildProcess } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../cli/ports.ts';
import { cuttable } from './cuttable.ts';
import { pino } from 'pino';
import { createAuthority } from '../../lib/certs.ts';
import { silent } from '../../lib/log.ts';
import { leaders } from '../../mesos/leader.ts';
import { findNative } from '../../mesos/zookeeper-native.ts';
import { connectOwn } from '../../mesos/zookeeper-own.ts';
import { ZooKeeperError, type ConnectZooKeeper, type ZooKeeper, type ZooKeeperState } from '../../mesos/zookeeper.ts';
import {
  type SecureZooKeeper,
  type ZooKeeperServers,
  startSecureZooKeeper,
  startZooKeeper,
  zooKeeperIsHere,
} from './zookeeper-server.ts';

const native = await findNative();
const clients: [string, ConnectZooKeeper][] = [['own', connectOwn]];
if (native) clients.push(['native', native]);

const withServers = zooKeeperIsHere ? describe : describe.skip;
const bytes = (text: string) => Buffer.from(text);
async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

withServers('a ZooKeeper client', () => {
  let one: ZooKeeperServers;
  let three: ZooKeeperServers;
  const open: ZooKeeper[] = [];
  let path = 0;

  beforeAll(async () => {
    [one, three] = await Promise.all([startZooKeeper(1), startZooKeeper(3)]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([one?.stop(), three?.stop()]);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((zk) => zk.close()));
  });

  describe.each(clients)('%s', (_name, connect) => {
    function client(servers: ZooKeeperServers, states: ZooKeeperState[] = [], sessionTimeout = 2000): ZooKeeper {
      const zk = connect({ servers: servers.addresses, sessionTimeout, onState: (state) => states.push(state) });
      open.push(zk);
      return zk;
    }

    test('makes, reads, changes and removes nodes', async () => {
      const zk = client(one);
      const at = `/n${path++}`;
      expect(await zk.create(at, bytes('a'))).toBe(at);
      expect(zk.state).toBe('connected');
      expect(zk.sessionId).toMatch(/^[0-9a-f]{8,}$/);
      expect((await zk.get(at)).toString()).toBe('a');
      await zk.set(at, bytes('später'));
      expect((await zk.get(at)).toString()).toBe('später');
      await zk.create(`${at}/child`, bytes(''));
      expect(await zk.children(at)).toEqual(['child']);
      expect((await zk.get(`${at}/child`)).length).toBe(0);
      expect(await zk.exists(at)).toBe(true);
      await zk.remove(`${at}/child`);
      await zk.remove(at);
      expect(await zk.exists(at)).toBe(false);
    });

    test('says what is wrong with a request by code', async () => {
      const zk = client(one);
      const at = `/e${path++}`;
      await zk.create(at, bytes(''));
      await zk.create(`${at}/child`, bytes(''));
      await expect(zk.create(at, bytes(''))).rejects.toMatchObject({ code: 'node-exists' });
      await expect(zk.remove(at)).rejects.toMatchObject({ code: 'not-empty' });
      await expect(zk.get(`${at}/none`)).rejects.toMatchObject({ code: 'no-node' });
      await expect(zk.children(`${at}/none`)).rejects.toBeInstanceOf(ZooKeeperError);
    });

    test('numbers sequential nodes, and ephemeral ones go with their session', async () => {
      const [zk, other] = [client(one), client(one, [], 20_000)];
      const at = `/q${path++}`;
      await zk.create(at, bytes(''));
      const mine = await zk.create(`${at}/x_`, bytes('1'), { ephemeral: true, sequential: true });
      const theirs = await other.create(`${at}/x_`, bytes('2'), { ephemeral: true, sequential: true });
      expect(mine).toMatch(/x_\d{10}$/);
      expect(mine < theirs).toBe(true);
      await other.close();
      await until('gone', async () => (await zk.children(at)).length === 1, 1500);
      expect(await zk.children(at)).toEqual([mine.split('/').at(-1)]);
      await expect(other.get(at)).rejects.toMatchObject({ code: 'closed' });
    });

    test('fires a watch once: on data, children, coming and going', async () => {
      const [zk, other] = [client(one), client(one)];
      const at = `/w${path++}`;
      const fired: string[] = [];
      const watch = (name: string) => () => void fired.push(name);
      expect(await zk.exists(at, watch('comes'))).toBe(false);
      await other.create(at, bytes('1'));
      await until('comes', () => fired.includes('comes'));
      await zk.get(at, watch('data'));
      await zk.children(at, watch('children'));
      await other.set(at, bytes('2'));
      await other.set(at, bytes('3'));
      await other.create(`${at}/c`, bytes(''));
      await other.remove(`${at}/c`);
      await until('both', () => fired.includes('data') && fired.includes('children'));
      await zk.exists(at, watch('goes'));
      await other.remove(at);
      await until('goes', () => fired.includes('goes'));
      await zk.exists(at);
      expect(fired.toSorted()).toEqual(['children', 'comes', 'data', 'goes']);
    });

    test('notices a server that is frozen', async () => {
      const states: ZooKeeperState[] = [];
      const zk = client(one, states, 1000);
      await zk.exists('/');
      one.kill(0, 'SIGSTOP');
      try {
        await until('disconnected', () => states.includes('disconnected'), 3000);
      } finally {
        one.kill(0, 'SIGCONT');
      }
      await until('back, or expired', () => ['connected', 'expired'].includes(zk.state));
    });

    test('learns after a partition that its session has expired, and its nodes are gone', async () => {
      const states: ZooKeeperState[] = [];
      const wire = await cuttable(one.addresses[0]!);
      try {
        const zk = connect({ servers: [wire.address], sessionTimeout: 1000, onState: (state) => states.push(state) });
        open.push(zk);
        const witness = client(one);
        const at = `/f${path++}`;
        await zk.create(at, bytes(''), { ephemeral: true });
        wire.cut(true);
        await until('disconnected', () => zk.state === 'disconnected');
        await until('its node is gone', async () => !(await witness.exists(at)));
        wire.cut(false);
        await until('expired', () => zk.state === 'expired');
        expect(states).toEqual(['connected', 'disconnected', 'expired']);
        await expect(zk.get('/')).rejects.toMatchObject({ code: 'session-expired' });
      } finally {
        wire.stop();
      }
    });

    test('refuses nothing before the first connection: requests wait for it', async () => {
      const zk = client(one);
      expect(zk.state).toBe('connecting');
      expect(await zk.exists('/')).toBe(true);
    });

    test('finds the one server of several that is up', async () => {
      const [down, alsoDown] = [await freePort(), await freePort()];
      const servers = [`127.0.0.1:${down}`, one.addresses[0]!, `127.0.0.1:${alsoDown}`];
      const zk = connect({ servers, sessionTimeout: 6000 });
      open.push(zk);
      await until('connected', () => zk.exists('/').catch(() => false), 5000);
    });

    test('connects while child processes hold on to what earlier clients had open', async () => {
      const children: ChildProcess[] = [];
      try {
        for (let i = 0; i < 3; i++) {
          const zk = client(one);
          expect(await zk.exists('/')).toBe(true);
          children.push(spawn('sleep', ['60'], { stdio: 'ignore' }));
          await zk.close();
        }
        expect(await client(one).exists('/')).toBe(true);
      } finally {
        for (const child of children) child.kill();
      }
    });

    test('tells the leading master and each change, also when the path comes later', async () => {
      const zk = client(one);
      const at = `/mesos${path++}`;
      const stop = new AbortController();
      const spec = `zk://${one.addresses[0]}${at}`;
      const told = leaders(spec, { log: silent, signal: stop.signal, connect, sessionTimeout: 2000 });
      const next = async () => (await told.next()).value;
      const info = (port: number) =>
        bytes(JSON.stringify({ address: { hostname: 'h', ip: '10.0.0.1', port }, id: 'x', ip: 1, port }));
      const master = (port: number) => zk.create(`${at}/json.info_`, info(port), { ephemeral: true, sequential: true });
      expect(await next()).toBeUndefined();
      await zk.create(at, bytes(''));
      await zk.create(`${at}/log_replicas`, bytes(''));
      const first = await master(5050);
      await master(5051);
      expect(await next()).toBe('http://10.0.0.1:5050');
      await zk.remove(first);
      expect(await next()).toBe('http://10.0.0.1:5051');
      const last = told.next();
      stop.abort();
      expect((await last).done).toBe(true);
    });

    test('moves to another member when its own dies, with session, nodes and watches', async () => {
      const states: ZooKeeperState[] = [];
      const zk = client(three, states, 6000);
      const at = `/m${path++}`;
      await zk.create(at, bytes('before'), { ephemeral: true });
      const session = zk.sessionId;
      let fired = 0;
      await zk.get(at, () => fired++);
      const modes = await Promise.all([0, 1, 2].map((i) => three.mode(i)));
      const leader = modes.indexOf('leader');
      three.kill(leader);
      try {
        // The old leader's death drops everyone; whoever was on another member reconnects too.
        const other = connect({
          servers: three.addresses.filter((_address, i) => i !== leader),
          sessionTimeout: 6000,
        });
        open.push(other);
        await until('written', async () =>
          other.set(at, bytes('after')).then(
            () => true,
            () => false,
          ),
        );
        await until('watch', () => fired === 1);
        await until('read', async () => (await zk.get(at).catch(() => bytes(''))).toString() === 'after');
        expect(zk.sessionId).toBe(session);
        expect(states).not.toContain('expired');
      } finally {
        await three.start(leader);
        await until('ensemble', async () => (await three.mode(leader)) !== undefined, 25_000);
      }
    });
  });
});

withServers('a ZooKeeper that serves TLS alone', () => {
  let secure: SecureZooKeeper;
  beforeAll(async () => {
    secure = await startSecureZooKeeper();
  }, 60_000);
  afterAll(() => secure?.stop());

  test('tells its leader to who knows its CA and has a certificate, and goes on after a restart', async () => {
    const zooKeeperTls = { ca: secure.authority.cert, ...secure.client };
    const states: ZooKeeperState[] = [];
    const zk = connectOwn({
      ...{ servers: secure.addresses, sessionTimeout: 20_000, tls: zooKeeperTls },
      onState: (state) => states.push(state),
    });
    const stop = new AbortController();
    try {
      const info = bytes(JSON.stringify({ address: { ip: '10.0.0.1', port: 5050 } }));
      await zk.create('/mesos', bytes(''));
      await zk.create('/mesos/json.info_', info, { ephemeral: true, sequential: true });
      const spec = `zk://${secure.addresses[0]}/mesos`;
      const told = leaders(spec, { log: silent, signal: stop.signal, zooKeeperTls });
      expect((await told.next()).value).toBe('http://10.0.0.1:5050');
      secure.kill(0);
      await until('disconnected', () => zk.state === 'disconnected');
      await secure.start(0);
      await until('connected', () => zk.state === 'connected');
      expect(await zk.children('/mesos')).toHaveLength(1);
      expect(states).toEqual(['connected', 'disconnected', 'connected']);
    } finally {
      stop.abort();
      await zk.close();
    }
  }, 60_000);

  test.each([
    [
      'a server of another CA',
      async () => ({ ...secure.client, ca: (await createAuthority('other')).cert }),
      /certificate/,
    ],
    ['no certificate of one’s own', async () => ({ ca: secure.authority.cert }), /./],
    ['no TLS', async () => undefined, /gives no session/],
  ])('is of no use with %s, which the log says', async (_why, tlsOf, said) => {
    const stop = new AbortController();
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const spec = `zk://${secure.addresses[0]}/mesos`;
    const told = leaders(spec, { log, signal: stop.signal, client: 'own', zooKeeperTls: await tlsOf() });
    const first = told.next();
    await until('told', () => lines.length > 0);
    stop.abort();
    expect(lines[0]).toMatch(said);
    expect((await first).done).toBe(true);
  });
});
