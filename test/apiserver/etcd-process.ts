import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../cli/ports.ts';
import { delay } from '../../lib/delay.ts';

export interface EtcdProcess {
  url: string;
  pid: () => number | undefined;
  /** kill -9, the data stay. */
  kill: () => Promise<void>;
  /** Starts it again on the same data and ports. */
  restart: () => Promise<void>;
  /** Stands still, and goes on. */
  freeze: () => void;
  thaw: () => void;
  stop: () => Promise<void>;
}

export interface EtcdTls {
  /** Paths of PEM files; clients must show a certificate of this CA. */
  ca: string;
  cert: string;
  key: string;
}

/** A real etcd on free ports with its data in memory where there is such a place. */
export async function startEtcd(tls?: EtcdTls, more: readonly string[] = []): Promise<EtcdProcess> {
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'km-etcd-'));
  const [client, peer, metrics] = [await freePort(), await freePort(), await freePort()];
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const healthUrl = `http://127.0.0.1:${metrics}`;
  const flags = [
    ...['--name', 'n1', '--data-dir', dir, '--listen-client-urls', url, '--advertise-client-urls', url],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `n1=${peerUrl}`],
    ...['--listen-metrics-urls', healthUrl, '--unsafe-no-fsync', '--logger=zap', '--log-level=error'],
    ...more,
    ...(tls ? ['--client-cert-auth', '--trusted-ca-file', tls.ca, '--cert-file', tls.cert, '--key-file', tls.key] : []),
  ];
  let child: ChildProcess | undefined;
  const run = async () => {
    child = spawn('etcd', flags, { stdio: 'ignore' });
    const failed = new Promise<never>((_, reject) =>
      child!.once('error', (error) => reject(new Error(`etcd does not start: ${error.message}`))),
    );
    await Promise.race([ready(healthUrl), failed]);
  };
  const kill = async () => {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await gone;
  };
  await run();
  return {
    url,
    pid: () => child?.pid,
    kill,
    restart: run,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    stop: async () => {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function ready(url: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer?.ok && (await answer.text()).includes('true')) return;
    await delay(25);
  }
  throw new Error('etcd did not become healthy within ten seconds');
}
