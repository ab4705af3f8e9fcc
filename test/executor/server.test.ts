import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { WebSocket } from 'ws';
import type { Pod } from '../../api/kinds/pod.ts';
import { freePort } from '../../cli/ports.ts';
import type { Access } from '../../executor/access.ts';
import { DiskMeter } from '../../executor/disk-meter.ts';
import { machineUse } from '../../executor/machine.ts';
import { UsageMeter } from '../../executor/usage.ts';
import { type KubeletServer, startServer } from '../../executor/server.ts';
import { type KeyPair, fingerprint, selfSigned } from '../../lib/certs.ts';
import { silent } from '../../lib/log.ts';
import { frontDoor } from './front-door.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { makeCa } from '../pki.ts';
import { aPod, eventually } from './pods-for-tests.ts';

let kubelet: TestKubelet;
let server: KubeletServer;
let certificate: KeyPair;
let apiserver: { cert: string; key: string };
let stranger: { cert: string; key: string };
let pod: Pod;
let webPort: number;

/** What the apiserver says of callers; test/executor/access.test.ts asks a real one. */
const access: Access = {
  reviewToken: (token) => Promise.resolve(token === 'reader' ? { name: 'reader', groups: [] } : undefined),
  may: ({ name }, { verb, subresource }) =>
    Promise.resolve(name === 'reader' && verb === 'get' && ['metrics', 'stats'].includes(subresource)),
};

beforeAll(async () => {
  kubelet = testKubelet();
  certificate = await selfSigned({ commonName: 'system:node:node-1', hosts: ['127.0.0.1'] });
  const cluster = await makeCa();
  apiserver = await cluster.issue('apiserver', 'system:masters');
  stranger = await cluster.issue('somebody');
  server = await startServer({
    address: '127.0.0.1',
    port: 0,
    certificate,
    ca: cluster.pem,
    clientNames: [],
    access,
    node: {
      pods: kubelet.pods,
      meter: new UsageMeter(kubelet.runtime),
      disks: new DiskMeter({
        ...{ volumes: kubelet.directory, logs: kubelet.directory },
        ...{ images: kubelet.runtime.images, log: silent },
        volumePaths: (uid) => kubelet.pods.volumePaths(uid),
      }),
      probes: kubelet.probeCounts,
      nodeName: 'node-1',
      certificates: () => ({
        client: { secondsLeft: 60, failures: 0 },
        server: { secondsLeft: Infinity, failures: 2 },
      }),
      cgroupParent: '',
      machine: () => machineUse(kubelet.directory),
      configuration: { kind: 'KubeletConfiguration' },
    },
    pods: kubelet.pods,
    runtime: kubelet.runtime,
    log: silent,
  });
  webPort = await freePort();
  const script = `for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; while read l; do echo "heard $l"; done`;
  pod = aPod(
    {},
    {
      containers: [
        {
          name: 'c',
          image: 'none',
          command: ['sh', '-c', script],
          stdin: true,
          readinessProbe: { exec: { command: ['true'] } },
        },
        {
          name: 'web',
          image: 'none',
          command: ['node', '-e', `require('net').createServer(s => s.pipe(s)).listen(${webPort}, '127.0.0.1')`],
        },
        { name: 'crash', image: 'none', command: ['sh', '-c', 'echo try $$$$; sleep 0.2; exit 1'] },
      ],
    },
    'talker',
  );
  pod.spec.containers[1]!.command![0] = process.execPath;
  kubelet.pods.bound(pod);
  kubelet.pods.admit(pod.metadata.uid!);
  await eventually(
    () => kubelet.status(pod)?.containerStatuses?.every((c) => c.containerID !== undefined),
    'the pod to run',
  );
  await eventually(async () => (await get('/containerLogs/default/talker/c')).body.includes('oops'), 'the first lines');
});
afterAll(async () => {
  await server?.close();
  await kubelet?.close();
});

function get(
  path: string,
  identity: { cert?: string; key?: string; headers?: Record<string, string> } = apiserver,
): Promise<{ code: number; body: string }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port: server.port, path, rejectUnauthorized: false, agent: false, ...identity })
      .on('error', reject)
      .on('response', (answer) => {
        let body = '';
        answer.on('error', reject);
        answer.on('data', (chunk: Buffer) => (body += chunk.toString()));
        answer.on('end', () => resolve({ code: answer.statusCode!, body }));
      })
      .end();
  });
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('who may ask', () => {
  test('callers see the certificate that the port was given last', async () => {
    const seen = async () => {
      const socket = connectTls({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false, ...apiserver });
      await once(socket, 'secureConnect');
      const { raw } = socket.getPeerX509Certificate()!;
      socket.destroy();
      return createHash('sha256').update(raw).digest('hex');
    };
    expect(await seen()).toBe(fingerprint(certificate.cert));
    const next = await selfSigned({ commonName: 'system:node:node-1', hosts: ['127.0.0.1'] });
    server.show(next);
    expect(await seen()).toBe(fingerprint(next.cert));
  });

  test('nobody without a certificate of the cluster or a token, and of those only who is let', async () => {
    expect(await get('/healthz', {})).toMatchObject({ code: 401 });
    const other = await (await makeCa()).issue('apiserver', 'system:masters');
    expect(await get('/healthz', other)).toMatchObject({ code: 401 });
    expect(await get('/healthz', stranger)).toMatchObject({ code: 403 });
    expect(await get('/healthz')).toEqual({ code: 200, body: 'ok' });
    expect(await get('/metrics', bearer('guess'))).toMatchObject({ code: 401 });
    expect(await get('/metrics/resource', bearer('reader'))).toMatchObject({ code: 200 });
    expect(await get('/containerLogs/default/talker/c', bearer('reader'))).toMatchObject({
      code: 403,
      body: expect.stringContaining('Forbidden (user=reader, verb=get, resource=nodes, subresource=proxy)'),
    });
    expect(await get('/pods', bearer('reader'))).toMatchObject({ code: 403 });
  });
});

describe('what it tells of the node', () => {
  test('statistics of the node, of pods and of their containers', async () => {
    const { node, pods } = JSON.parse((await get('/stats/summary')).body) as {
      node: { nodeName: string; cpu: { usageCoreNanoSeconds: number }; memory: Record<string, number>; fs: object };
      pods: {
        podRef: object;
        memory: Record<string, number>;
        containers: { name: string; memory: Record<string, number> }[];
      }[];
    };
    expect(node).toMatchObject({ nodeName: 'node-1', fs: { capacityBytes: expect.any(Number) } });
    expect(node.cpu.usageCoreNanoSeconds).toBeGreaterThan(1e9);
    expect(node.memory.workingSetBytes).toBeGreaterThan(1 << 20);
    const { name, namespace, uid } = pod.metadata;
    const own = pods.find(({ podRef }) => JSON.stringify(podRef) === JSON.stringify({ name, namespace, uid }))!;
    const web = own.containers.find((c) => c.name === 'web')!;
    expect(web.memory.workingSetBytes).toBeGreaterThan(5 << 20); // a Node of its own
    expect(own.memory.workingSetBytes).toBeGreaterThanOrEqual(web.memory.workingSetBytes!);
  });

  test('metrics of resources, of probes and of itself', async () => {
    let resource = '';
    const number = (pattern: RegExp) => Number(pattern.exec(resource)?.[1]);
    // What was measured last may be of when it had hardly begun.
    const cpu = /^container_cpu_usage_seconds_total\{container="web",namespace="default",pod="talker"\} (\S+) \d+$/m;
    await eventually(async () => {
      resource = (await get('/metrics/resource')).body;
      return number(cpu) > 0.01;
    }, 'the time that the web container took');
    expect(number(/^pod_memory_working_set_bytes\{namespace="default",pod="talker"\} (\d+) \d+$/m)).toBeGreaterThan(
      5 << 20,
    );
    expect(number(/^node_cpu_usage_seconds_total (\S+) \d+$/m)).toBeGreaterThan(1);
    const own = (await get('/metrics')).body;
    expect(own).toContain('\nkubelet_certificate_manager_client_ttl_seconds 60\n');
    expect(own).toContain('\nkubelet_certificate_manager_server_ttl_seconds +Inf\n');
    expect(own).toContain('\nkubelet_server_expiration_renew_errors 2\n');
    expect(own).toMatch(/^kubelet_running_pods 1$/m);
    expect(own).toMatch(/^kubelet_running_containers\{container_state="running"\} [23]$/m);
    expect(own).toContain('process_cpu_seconds_total');
    // The names and labels are looked at in node-statistics.test.ts.
    expect((await get('/metrics/cadvisor', bearer('reader'))).body).toMatch(
      /^container_memory_working_set_bytes\{container="web",id="[^"]+",image="none",name="[^"]+",namespace="default",pod="talker"\} \d+ \d+$/m,
    );
    expect((await get('/metrics/probes')).body).toMatch(
      /^prober_probe_total\{probe_type="Readiness",container="c",pod="talker",namespace="default",pod_uid="[^"]+",result="successful"\} \d+$/m,
    );
  });

  test('where it spends its time, to whom may have anything of it', async () => {
    expect(await get('/debug/pprof/', bearer('reader'))).toMatchObject({ code: 403 });
    expect((await get('/debug/pprof/')).body).toContain('profile?seconds=30');
    expect(await get('/debug/pprof/profile?seconds=0')).toMatchObject({ code: 400 });
    expect(await get('/debug/pprof/nothing')).toMatchObject({ code: 404 });
    const taken = await new Promise<Buffer>((resolve, reject) => {
      const path = '/debug/pprof/heap?seconds=0.1';
      request({ host: '127.0.0.1', port: server.port, path, rejectUnauthorized: false, agent: false, ...apiserver })
        .on('error', reject)
        .on('response', (answer) => resolve(buffer(answer)))
        .end();
    });
    const { sampleType, stringTable } = Profile.decode(gunzipSync(taken));
    expect(sampleType.map(({ type }) => stringTable.strings[Number(type)])).toEqual(['inuse_space']);
  });

  test('its pods and its settings, and nothing it has not', async () => {
    expect(JSON.parse((await get('/pods')).body)).toMatchObject({
      kind: 'PodList',
      items: [{ metadata: { name: 'talker' } }],
    });
    expect(JSON.parse((await get('/runningpods/')).body)).toMatchObject({ items: [{ metadata: { name: 'talker' } }] });
    expect(JSON.parse((await get('/configz')).body)).toEqual({ kubeletconfig: { kind: 'KubeletConfiguration' } });
    expect(await get('/constructor')).toMatchObject({ code: 404 });
  });
});

describe('logs', () => {
  const logs = (query: string, container = 'c') => get(`/containerLogs/default/talker/${container}?${query}`);

  test('all of it, its tail, with times, by size, by stream and since', async () => {
    expect((await logs('stream=Stdout')).body).toBe('line 1\nline 2\nline 3\nline 4\nline 5\n');
    expect((await logs('tailLines=0')).body).toBe('');
    expect((await logs('stream=Stdout&tailLines=6')).body).toMatch(/line 5\n$/);
    expect((await logs('limitBytes=9&stream=Stdout')).body).toBe('line 1\nli');
    expect((await logs('timestamps=true&stream=Stdout')).body).toMatch(/^\d{4}-\d\d-\d\dT\S+Z line 1\n/);
    expect((await logs('sinceSeconds=3600&stream=Stdout')).body).toContain('line 1');
    expect((await logs(`sinceTime=${encodeURIComponent(new Date(Date.now() + 60_000).toISOString())}`)).body).toBe('');
  });

  test('follows until the container ends, and shows the one before', async () => {
    const followed = await logs('follow=true', 'crash');
    expect(followed).toMatchObject({ code: 200, body: expect.stringMatching(/^try \d+\n$/) });
    await eventually(() => (kubelet.status(pod)!.containerStatuses![2]!.restartCount ?? 0) >= 1, 'a restart');
    expect((await logs('previous=true', 'crash')).body).toMatch(/^try \d+\n$/);
  });

  test('refuses in the words of a Status', async () => {
    expect(JSON.parse((await logs('previous=true')).body)).toMatchObject({
      kind: 'Status',
      reason: 'BadRequest',
      message: 'previous terminated container "c" in pod "talker" not found',
    });
    expect(await logs('tailLines=-1')).toMatchObject({ code: 400 });
    expect(await get('/containerLogs/default/nobody/c')).toMatchObject({ code: 404 });
    expect(await get('/no/such')).toMatchObject({ code: 404 });
    expect(await get('/%zz/%')).toMatchObject({ code: 400 });
  });
});

describe('exec over WebSocket', () => {
  interface Said {
    stdout: Buffer;
    stderr: string;
    status: { status: string; reason?: string; details?: { causes: { reason: string; message: string }[] } };
    socket: WebSocket;
  }
  function exec(
    query: string,
    talk: (socket: WebSocket) => void,
    protocol = 'v5.channel.k8s.io',
    verb = 'exec',
  ): Promise<Said> {
    const socket = new WebSocket(`wss://127.0.0.1:${server.port}/${verb}/default/talker/c?${query}`, protocol, {
      rejectUnauthorized: false,
      ...apiserver,
    });
    const parts: Record<number, Buffer[]> = { 1: [], 2: [], 3: [] };
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => talk(socket));
      socket.on('message', (message: Buffer) => parts[message[0]!]?.push(message.subarray(1)));
      socket.on('close', () => {
        const status = Buffer.concat(parts[3]!).toString();
        if (!status) return reject(new Error('closed without a status'));
        resolve({
          stdout: Buffer.concat(parts[1]!),
          stderr: Buffer.concat(parts[2]!).toString(),
          status: JSON.parse(status) as Said['status'],
          socket,
        });
      });
    });
  }

  test('tells output, errors and the exit code', async () => {
    const said = await exec(
      'command=sh&command=-c&command=echo+out%3Becho+err+%3E%262%3Bexit+7&output=1&error=1',
      () => undefined,
    );
    expect([said.stdout.toString(), said.stderr]).toEqual(['out\n', 'err\n']);
    expect(said.status).toMatchObject({
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '7' }] },
    });
  });

  test.each(['channel.k8s.io', 'base64.channel.k8s.io'])(
    '%s, of old clients, ends with words or none',
    async (protocol) => {
      const say = async (command: string) => {
        const socket = new WebSocket(
          `wss://127.0.0.1:${server.port}/exec/default/talker/c?${command}&output=1&input=1`,
          protocol,
          { rejectUnauthorized: false, ...apiserver },
        );
        const isText = protocol.startsWith('base64');
        const said: string[] = [];
        socket.on('open', () => socket.send(isText ? `0${btoa('line\n')}` : '\0line\n'));
        socket.on('message', (message: Buffer, isBinary: boolean) => {
          expect(isBinary).toBe(!isText);
          const text = message.toString();
          said.push(isText ? `${text[0]}:${atob(text.slice(1))}` : `${text.charCodeAt(0)}:${text.slice(1)}`);
        });
        await once(socket, 'close');
        return said.filter((one) => one !== '1:');
      };
      expect(await say('command=sh&command=-c&command=read+x;echo+got+$x')).toEqual(['1:got line\n']);
      expect(await say('command=sh&command=-c&command=exit+7')).toEqual([
        '3:command terminated with non-zero exit code: exit code 7',
      ]);
    },
  );

  test('v5 ends input; 5 MB come back unchanged', async () => {
    const input = randomBytes(5 * 1024 * 1024);
    const said = await exec('command=cat&input=1&output=1', (socket) => {
      for (let at = 0; at < input.length; at += 32_768)
        socket.send(Buffer.concat([Buffer.from([0]), input.subarray(at, at + 32_768)]));
      socket.send(Buffer.from([255, 0]));
    });
    expect(said.status).toMatchObject({ status: 'Success' });
    expect(said.stdout.equals(input)).toBe(true);
  });

  test('a client that goes away ends its command', async () => {
    const socket = new WebSocket(
      `wss://127.0.0.1:${server.port}/exec/default/talker/c?command=sleep&command=300.5&output=1`,
      'v4.channel.k8s.io',
      {
        rejectUnauthorized: false,
        ...apiserver,
      },
    );
    await new Promise((resolve) => socket.once('message', resolve));
    socket.terminate();
    await eventually(async () => {
      const said = await exec('command=ps&command=ax&output=1', () => undefined);
      return !said.stdout.toString().includes('sleep 300.5');
    }, 'the command to be gone');
  });

  test('attach reaches the process itself', async () => {
    const socket = new WebSocket(
      `wss://127.0.0.1:${server.port}/attach/default/talker/c?input=1&output=1`,
      'v4.channel.k8s.io',
      {
        rejectUnauthorized: false,
        ...apiserver,
      },
    );
    let seen = '';
    socket.on('message', (message: Buffer) => (seen += message.subarray(1).toString()));
    await new Promise((resolve) => socket.once('open', resolve));
    await eventually(() => {
      socket.send(Buffer.concat([Buffer.from([0]), Buffer.from('you\n')]));
      return seen.includes('heard you');
    }, 'the answer');
    socket.close();
  });

  test('refuses what is no stream, no command and no sub-protocol of ours', async () => {
    await expect(exec('output=1', () => undefined)).rejects.toThrow('400');
    await expect(exec('command=ls&output=1', () => undefined, 'v9.channel.k8s.io')).rejects.toThrow('403');
  });
});

const kubectls = [27, 28, 29, 30, 31, 32, 33]
  .map((minor) => `kubectl.1.${minor}`)
  .map((name) => (existsSync('/usr/bin/kubectl') ? join(dirname(realpathSync('/usr/bin/kubectl')), name) : ''))
  .filter((path) => path && existsSync(path));
const sample = kubectls.length > 2 ? [kubectls[0]!, kubectls.at(-1)!] : kubectls;

(sample.length > 0 ? describe.each(sample) : describe.skip.each(['kubectl']))('%s', (kubectl) => {
  let front: { url: string; close(): void };
  const started = new Set<ChildProcess>();
  beforeAll(async () => {
    front = await frontDoor({ port: server.port, ...apiserver }, () => [
      { ...pod, status: { ...kubelet.status(pod)! } },
    ]);
  });
  afterAll(() => {
    for (const child of started) child.kill('SIGKILL');
    front.close();
  });
  function run(args: string[], input?: Buffer): Promise<{ code: number | null; stdout: Buffer; stderr: string }> {
    const child = spawn(kubectl, ['--server', front.url, ...args], {
      env: { PATH: process.env.PATH, HOME: '/nonexistent' },
    });
    started.add(child);
    const out: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout: Buffer.concat(out), stderr })));
  }

  test('exec tells output and exit code', async () => {
    const done = await run(['exec', 'talker', '-c', 'c', '--', 'sh', '-c', 'echo hello; echo bad >&2; exit 5']);
    expect(done).toMatchObject({ code: 5, stderr: expect.stringContaining('bad') });
    expect(done.stdout.toString()).toBe('hello\n');
  });

  test('exec -i carries 5 MB both ways', async () => {
    const input = randomBytes(5 * 1024 * 1024);
    const done = await run(['exec', '-i', 'talker', '-c', 'c', '--', 'cat'], input);
    expect(done.code).toBe(0);
    expect(done.stdout.equals(input)).toBe(true);
  });

  test('logs', async () => {
    expect((await run(['logs', 'talker', '-c', 'c', '--tail=3'])).stdout.toString()).toMatch(/line|oops|heard/);
    expect((await run(['logs', 'talker', '-c', 'c', '--previous'])).stderr).toContain('previous terminated container');
  });

  test('port-forward', async () => {
    const child = spawn(
      kubectl,
      ['--server', front.url, 'port-forward', 'talker', `:${webPort}`, '--address', '127.0.0.1'],
      { env: { PATH: process.env.PATH, HOME: '/nonexistent' } },
    );
    started.add(child);
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const local = Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(said)?.[1], 'the forwarded port'));
    const input = randomBytes(1024 * 1024);
    const echoed = await new Promise<Buffer>((resolve, reject) => {
      const out: Buffer[] = [];
      const socket = connect(local, '127.0.0.1');
      socket.on('data', (chunk: Buffer) => out.push(chunk));
      socket.on('error', reject);
      socket.on('end', () => resolve(Buffer.concat(out)));
      socket.end(input);
    });
    expect(echoed.equals(input)).toBe(true);
    child.kill('SIGTERM');
  });
});
