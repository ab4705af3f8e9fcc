import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import type { Node } from '../../api/kinds/node.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import type { KubeList, Stored } from '../../api/meta.ts';
import { containerdIsHere } from '../executor/containerd.ts';
import { eventually } from '../eventually.ts';
import { withoutNumbers } from '../proxy/plans.ts';
import { Hosts } from './hosts.ts';

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

const unreachable = 'node.kubernetes.io/unreachable';
const tolerates = (seconds?: number) => [
  {
    key: unreachable,
    operator: 'Exists',
    effect: 'NoExecute',
    ...(seconds === undefined ? {} : { tolerationSeconds: seconds }),
  },
];

/** Pods that say their name by HTTP, and a Service before them. */
const site = (name: string, replicas: number, toleration = tolerates(2), whenUnsatisfiable = 'ScheduleAnyway') => [
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          terminationGracePeriodSeconds: 1,
          tolerations: toleration,
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable,
              labelSelector: { matchLabels: { app: name } },
            },
          ],
          containers: [
            {
              name: 'c',
              image: 'k8s.test/busybox:1',
              command: ['sh', '-c', 'mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www'],
            },
          ],
        },
      },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }] },
  },
];

describeHere('a host that is cut off', () => {
  let hosts: Hosts;
  beforeAll(async () => {
    hosts = await Hosts.start('nftables');
    // One stays whatever happens, the others move after two seconds.
    await put(...site('loyal', 2, tolerates(), 'DoNotSchedule'));
    await rollout('loyal');
    await put(...site('web', 4), ...site('early', 2));
    await rollout('web', 'early');
    for (const host of ['host-1', 'host-2']) {
      await eventually(async () => expect(await answers(host, 'web', 24)).toEqual(await names('web')), 20_000);
      await eventually(() => expect(lookup(host, 'web')).toContain('10.'), 20_000);
    }
  }, 240_000);
  afterAll(() => hosts?.stop(), 60_000);

  const put = async (...objects: object[]) => {
    const { code, stderr } = await hosts.kubectl.feed(
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
      ...['apply', '-f', '-'],
    );
    expect([code, stderr]).toEqual([0, '']);
  };
  const rollout = async (...all: string[]) => {
    for (const name of all) await hosts.kubectl.run('rollout', 'status', `deployment/${name}`, '--timeout=60s');
  };
  const get = async <T>(...what: string[]) => JSON.parse(await hosts.kubectl.run('get', ...what, '-o', 'json')) as T;
  const pods = async (app: string) => (await get<KubeList<Pod & Stored>>('pods', '-l', `app=${app}`)).items;
  const names = async (app: string) => (await pods(app)).map(({ metadata }) => metadata.name).sort();
  const node = (name: string) => get<Node>('node', name);
  const readiness = async (name: string) =>
    (await node(name)).status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  const clusterIp = (name: string) => hosts.kubectl.run('get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}');
  /** Pods that answered somebody on the host who calls a cluster IP so many times. */
  const ask = (host: string, ip: string, times: number) => {
    const call = `printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 1 ${ip} 80 | tail -n 1`;
    const said = hosts.on(host, 'busybox', 'sh', '-c', `for i in $(seq ${times}); do ${call} & done; wait`);
    return [...new Set(said.split('\n').filter(Boolean))].sort();
  };
  const answers = async (host: string, service: string, times: number) => ask(host, await clusterIp(service), times);
  const lookup = (host: string, name: string) =>
    hosts.on(host, 'sh', '-c', `busybox nslookup ${name}.default.svc.cluster.local ${hosts.host(host).ip} 2>&1; true`);
  const containers = (host: string) =>
    hosts
      .on(host, 'ctr', '-a', hosts.host(host).containerd.socket, '-n', 'k8s.io', 'tasks', 'ls', '-q')
      .split('\n')
      .filter(Boolean)
      .sort();
  /** The rules of a host, without what differs by its order, or by counts of endpoints that only one host ever saw: such choices stay. */
  const rules = (host: string) =>
    hosts
      .on(host, 'nft', 'list', 'table', 'ip', 'km-proxy')
      .replace(/(map|chain) one-of-\d+-\w+ \{[^{}]*\}/g, '')
      .replace(/,\s*/g, ',\n')
      .split('\n')
      .map((line) => withoutNumbers(line.replace(/elements = \{|[},]$/g, '').trim()))
      .filter(Boolean)
      .sort();
  const expectReady = (host: string) =>
    eventually(async () => {
      expect(await readiness(host)).toBe('True');
      expect((await node(host)).spec?.taints ?? []).toEqual([]);
    }, 40_000);

  test('loses its pods to the others as they tolerate it, serves what it knows, and catches up when it is back', async () => {
    const before = { web: await pods('web'), loyal: await pods('loyal') };
    const [web, early] = [await clusterIp('web'), await clusterIp('early')];
    const old = before.web.filter(({ spec }) => spec.nodeName === 'host-2').map(({ metadata }) => metadata.name);
    expect(old.length).toBeGreaterThan(0);
    const running = containers('host-2');
    hosts.cutOff('host-2');

    await eventually(async () => expect(await readiness('host-2')).toBe('Unknown'), 30_000);
    expect(await hosts.kubectl.run('get', 'node', 'host-2')).toMatch(/NotReady/);
    await eventually(async () => {
      expect((await node('host-2')).spec?.taints).toEqual(
        ['NoSchedule', 'NoExecute'].map((effect) => expect.objectContaining({ key: unreachable, effect })),
      );
    });
    // Four that are not leaving, all here; nobody is led to the lost ones any more.
    await eventually(async () => {
      const all = (await pods('web')).filter(({ metadata }) => !metadata.deletionTimestamp);
      expect(all.map(({ spec, status }) => [spec.nodeName, status?.phase])).toEqual(
        Array(4).fill(['host-1', 'Running']),
      );
      const slices = await get<KubeList<EndpointSlice & Stored>>(
        ...['endpointslices', '-l', 'kubernetes.io/service-name=web'],
      );
      const ready = slices.items.flatMap(({ endpoints }) => endpoints.filter(({ conditions }) => conditions?.ready));
      expect(ready.map(({ nodeName }) => nodeName)).toEqual(Array(4).fill('host-1'));
    }, 40_000);
    const moved = (await pods('web')).filter(({ metadata }) => !metadata.deletionTimestamp);
    const here = moved.map(({ metadata }) => metadata.name).sort();
    await eventually(() => expect(ask('host-1', web, 24)).toEqual(here), 10_000);
    // What tolerates it for good is neither deleted nor replaced.
    expect((await pods('loyal')).map(({ metadata }) => [metadata.uid, metadata.deletionTimestamp])).toEqual(
      before.loyal.map(({ metadata }) => [metadata.uid, undefined]),
    );
    // On its own it goes on: pods, names, rules.
    expect(containers('host-2')).toEqual(running);
    expect(lookup('host-2', 'web')).toContain(web);
    expect(old).toEqual(expect.arrayContaining(ask('host-2', web, 24)));

    await put(...site('late', 1));
    await hosts.kubectl.run('delete', 'service,deployment', 'early');
    const late = await clusterIp('late');
    expect(lookup('host-2', 'late')).not.toContain(late);
    hosts.plugIn('host-2');

    await expectReady('host-2');
    await eventually(async () => expect((await names('web')).toSorted()).toEqual(here), 20_000);
    const { loyal } = { loyal: await pods('loyal') };
    expect(loyal.map(({ metadata, status }) => [metadata.uid, status?.containerStatuses?.[0]?.containerID])).toEqual(
      before.loyal.map(({ metadata, status }) => [metadata.uid, status?.containerStatuses?.[0]?.containerID]),
    );
    await eventually(() => {
      expect(lookup('host-2', 'late')).toContain(late);
      expect(lookup('host-2', 'early')).not.toContain(early);
      expect(rules('host-2')).toEqual(rules('host-1'));
    }, 40_000);
    expect(ask('host-2', web, 24)).toEqual(here);
    // Of the pods that were replaced nothing is left: what runs here is what the API says.
    await eventually(async () => {
      const { items } = await get<KubeList<Pod & Stored>>('pods', '--field-selector', 'spec.nodeName=host-2');
      expect(containers('host-2')).toHaveLength(2 * items.length);
    }, 20_000);
  }, 180_000);

  test('that only the API is out of reach of goes on as it was told, and hears of what has changed later', async () => {
    await rollout('web', 'loyal', 'late');
    const loyal = await pods('loyal');
    const uids = loyal.map(({ metadata }) => metadata.uid);
    const [own] = loyal.filter(({ spec }) => spec.nodeName === 'host-2');
    const [web, gone] = [await clusterIp('web'), await clusterIp('late')];
    hosts.part('control', 'host-2');

    await eventually(async () => expect(await readiness('host-2')).toBe('Unknown'), 40_000);
    // From here pods are reached on both hosts, and names are known.
    expect(ask('host-2', await clusterIp('loyal'), 24)).toEqual(loyal.map(({ metadata }) => metadata.name).sort());
    expect(lookup('host-2', 'web')).toContain(web);
    expect(hosts.on('host-2', 'curl', '-s', 'http://127.0.0.1:10256/healthz')).toContain('lastUpdated');
    // The kubelet needs nobody to start again what has ended.
    const mine = containers('host-2');
    const [id = ''] =
      own?.status?.containerStatuses?.map(({ containerID = '' }) => containerID.split('//')[1] ?? '') ?? [];
    expect(mine).toContain(id);
    const { socket } = hosts.host('host-2').containerd;
    hosts.on('host-2', 'ctr', '-a', socket, '-n', 'k8s.io', 'tasks', 'kill', '-s', 'SIGKILL', id);
    await eventually(() => {
      expect(containers('host-2')).not.toContain(id);
      expect(containers('host-2').length).toBe(mine.length);
    }, 60_000);
    await hosts.kubectl.run('delete', 'service,deployment', 'late');
    await put(...site('newer', 2));
    const newer = await clusterIp('newer');
    expect(lookup('host-2', 'newer')).not.toContain(newer);
    hosts.unite();

    await expectReady('host-2');
    await eventually(() => {
      expect(lookup('host-2', 'newer')).toContain(newer);
      expect(lookup('host-2', 'late')).not.toContain(gone);
      expect(rules('host-2')).toEqual(rules('host-1'));
    }, 40_000);
    const after = await pods('loyal');
    expect(after.map(({ metadata }) => metadata.uid)).toEqual(uids);
    await eventually(async () => {
      const restarts = (await pods('loyal')).map(({ metadata, status }) => [
        metadata.uid,
        status?.containerStatuses?.[0]?.restartCount,
      ]);
      expect(restarts).toEqual(uids.map((uid) => [uid, uid === own?.metadata.uid ? 1 : 0]));
    }, 20_000);
  }, 180_000);
});
