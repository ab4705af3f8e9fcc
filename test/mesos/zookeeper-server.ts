import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../cli/ports.ts';
import { type KeyPair, createAuthority, issue } from '../../lib/certs.ts';

/** Real ZooKeeper servers for tests: one, or an ensemble of three. */
export interface ZooKeeperServers {
  /** `127.0.0.1:port` of each. */
  addresses: string[];
  kill(index: number, signal?: NodeJS.Signals): void;
  start(index: number): Promise<void>;
  /** `leader`, `follower`, `standalone`, or undefined when it does not answer. */
  mode(index: number): Promise<string | undefined>;
  stop(): Promise<void>;
}

export const zooKeeperIsHere = existsSync('/usr/share/java/zookeeper.jar');

/** Serves TLS alone, to clients with a certificate of its CA. */
export interface SecureZooKeeper extends ZooKeeperServers {
  authority: KeyPair;
  /** Of such a client. */
  client: KeyPair;
}

export async function startSecureZooKeeper(): Promise<SecureZooKeeper> {
  const authority = await createAuthority('ZooKeeper');
  const server = await issue(authority, { commonName: 'zk', hosts: ['127.0.0.1'] });
  const client = await issue(authority, { commonName: 'km' });
  return { ...(await startZooKeeper(1, { authority, server, client })), authority, client };
}

interface Certificates {
  authority: KeyPair;
  server: KeyPair;
  client: KeyPair;
}

export async function startZooKeeper(count: 1 | 3, secure?: Certificates): Promise<ZooKeeperServers> {
  const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const dir = mkdtempSync(join(base, 'km-zookeeper-'));
  const ports = await Promise.all(Array.from({ length: count * 3 }, () => freePort()));
  const processes: (ChildProcess | undefined)[] = [];
  const members = ports
    .slice(0, count)
    .map((_port, i) => `server.${i + 1}=127.0.0.1:${ports[count + i]}:${ports[2 * count + i]}`);
  for (let i = 0; i < count; i++) {
    const home = join(dir, String(i));
    mkdirSync(join(home, 'data'), { recursive: true });
    writeFileSync(join(home, 'data', 'myid'), String(i + 1));
    const lines = [
      'tickTime=500',
      'initLimit=20',
      'syncLimit=10',
      `dataDir=${home}/data`,
      ...(secure ? secured(secure, home, ports[i]!) : [`clientPort=${ports[i]}`, 'clientPortAddress=127.0.0.1']),
      'admin.enableServer=false',
      '4lw.commands.whitelist=*',
      'minSessionTimeout=500',
      'maxSessionTimeout=60000',
      ...(count > 1 ? members : []),
    ];
    writeFileSync(join(home, 'zoo.cfg'), `${lines.join('\n')}\n`);
  }
  const servers: ZooKeeperServers = {
    addresses: ports.slice(0, count).map((port) => `127.0.0.1:${port}`),
    kill: (index, signal = 'SIGKILL') => processes[index]?.kill(signal),
    start: async (index) => {
      processes[index] = run(join(dir, String(index), 'zoo.cfg'), count > 1);
      if (count === 1) await untilAnswers(servers, index);
    },
    mode: (index) => mode(ports[index]!, secure),
    stop: async () => {
      for (const child of processes) {
        if (!child || child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await Promise.all(Array.from({ length: count }, (_, i) => servers.start(i)));
  await Promise.all(Array.from({ length: count }, (_, i) => untilAnswers(servers, i)));
  return servers;
}

function secured({ authority, server }: Certificates, home: string, port: number): string[] {
  writeFileSync(join(home, 'ca.pem'), authority.cert);
  writeFileSync(join(home, 'server.pem'), server.cert + server.key);
  return [
    'serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory',
    `secureClientPort=${port}`,
    'secureClientPortAddress=127.0.0.1',
    `ssl.keyStore.location=${home}/server.pem`,
    `ssl.trustStore.location=${home}/ca.pem`,
  ];
}

/** What TLS takes besides is not named in ZooKeeper's own archive. */
const jars = ['zookeeper', 'netty-codec', 'netty-resolver', 'netty-transport-native-unix-common'];

function run(config: string, ensemble: boolean): ChildProcess {
  const main = ensemble ? 'quorum.QuorumPeerMain' : 'ZooKeeperServerMain';
  const flags = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto', '-Dzookeeper.forceSync=no'];
  const path = jars.map((jar) => `/usr/share/java/${jar}.jar`).join(':');
  const classpath = ['-cp', path, `org.apache.zookeeper.server.${main}`];
  return spawn('java', [...flags, ...classpath, config], { stdio: 'ignore' });
}

async function untilAnswers(servers: ZooKeeperServers, index: number): Promise<void> {
  const deadline = Date.now() + 25_000;
  while ((await servers.mode(index)) === undefined) {
    if (Date.now() > deadline) throw new Error(`ZooKeeper ${index} did not come up`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function mode(port: number, secure?: Certificates): Promise<string | undefined> {
  return new Promise((resolve) => {
    const ask = () => void socket.write('srvr');
    const socket = secure
      ? connectTls({ port, host: '127.0.0.1', ca: secure.authority.cert, ...secure.client }, ask)
      : connect(port, '127.0.0.1', ask);
    let text = '';
    socket.setTimeout(500, () => socket.destroy());
    socket.on('data', (data) => (text += String(data)));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(/Mode: (\w+)/.exec(text)?.[1]));
  });
}
