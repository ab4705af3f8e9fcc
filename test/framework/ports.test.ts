import { describe, expect, test } from '@jest/globals';
import { hostPortNotes, hostPortsOf } from '../../api/host-ports.ts';
import type { ContainerPort, Pod } from '../../api/kinds/pod.ts';
import { factsOf } from '../../framework/agents.ts';
import { needsOf } from '../../framework/index.ts';
import type { TaskInfo } from '../../mesos/tasks.ts';
import { makePod } from '../scheduler/builders.ts';
import { callsOf, makeOffer, ports, register, scalar, statusOf, subscribed } from './builders.ts';

const wildcard = { labels: { 'k8s.mesosphere.io/portMapping': 'wildcard', app: 'web' } };
const podWith = (containerPorts: ContainerPort[], metadata: Partial<Pod['metadata']> = wildcard, hostNetwork = false) =>
  makePod('web', { hostNetwork, containers: [{ name: 'c', image: 'x', ports: containerPorts }] }, metadata);
const http: ContainerPort = { name: 'http', containerPort: 80 };
const dns: ContainerPort = { containerPort: 53, protocol: 'UDP' };

function offered(mapping: 'fixed' | 'wildcard' = 'fixed') {
  const state = subscribed({ needs: needsOf({ cpu: 250 }, mapping) });
  state.offered([makeOffer('a1')], 0);
  register(state);
  return state;
}

/** Takes a seat for the pod and launches it; answers its task, and what Mesos is told. */
function launched(pod: Pod, state = offered()) {
  expect(state.reserve(pod, 'host-a1')).toBeDefined();
  const task = state.tasks.ofPod(pod.metadata.uid!)!;
  const [call] = state.takeLaunches(0).flatMap((launch) => callsOf(state.recorded(launch, 0)));
  const [operation] = call?.type === 'ACCEPT' ? (call.accept.operations ?? []) : [];
  return { state, task, info: operation!.launch!.task_infos![0]! };
}
const portsOf = ({ resources = [] }: TaskInfo) =>
  resources
    .filter(({ name }) => name === 'ports')
    .flatMap(({ ranges }) => ranges?.range ?? [])
    .map(({ begin }) => Number(begin));

describe('ports of containers', () => {
  test('with the label `wildcard` get ports that are offered, besides those asked for', () => {
    const { task, info } = launched(podWith([http, { containerPort: 443, hostPort: 31_000 }, dns]));
    expect(task.anyPorts).toEqual([31_100, 31_099]);
    expect(portsOf(info)).toEqual([31_000, 31_099, 31_100]);
    expect(hostPortNotes(task.pod!, task.anyPorts)).toEqual({
      'k8s.mesosphere.io/port_TCP_80': '31100',
      'k8s.mesosphere.io/portName_TCP_http': '31100',
      'k8s.mesosphere.io/port_UDP_53': '31099',
    });
  });

  test.each<[string, Pod, 'fixed' | 'wildcard', number[]]>([
    ['no label', podWith([http], {}), 'fixed', []],
    ['no label, where wildcard is the default', podWith([http], {}), 'wildcard', [31_100]],
    ['the label `fixed`', podWith([http], { labels: { 'k8s.mesosphere.io/portMapping': 'fixed' } }), 'wildcard', []],
    ['the network of the host', podWith([http], wildcard, true), 'wildcard', []],
  ])('with %s', (_, pod, mapping, expected) => {
    expect(launched(pod, offered(mapping)).task.anyPorts).toEqual(expected);
  });

  test('are taken once: the next pod gets others, and none is left in the end', () => {
    const state = offered();
    const first = podWith(Array.from({ length: 100 }, (_, i) => ({ containerPort: i + 1 })));
    expect(state.reserve(first, 'host-a1')).toBeDefined();
    const [node] = state.nodes;
    expect(node?.free['ports']).toBe(1);
    const second = podWith([http]);
    expect(state.reserve(second, 'host-a1')).toBeDefined();
    expect(state.tasks.ofPod(second.metadata.uid!)?.anyPorts).toEqual([31_000]);
    expect(state.reserve(podWith([http]), 'host-a1')).toBeUndefined();
    state.release(second.metadata.uid!, 0);
    expect(node?.free['ports']).toBe(1);
  });

  test('of the machine may come with an offer while no pod there has them', () => {
    const state = offered();
    const total = [scalar('cpus', 4), scalar('mem', 1024), ports(31_000, 31_100)];
    state.learnAgent({ ...factsOf(makeOffer('a1')), total });
    const [node] = state.nodes;
    const awaited = () => [80, 31_000, 31_001].filter((port) => node!.awaitsPort(port));
    expect(awaited()).toEqual([31_000, 31_001]);
    const pod = podWith([{ containerPort: 443, hostPort: 31_000 }]);
    expect(state.reserve(pod, 'host-a1')).toBeDefined();
    expect(awaited()).toEqual([31_001]);
  });

  test('stay with their pod when it is launched again on its node', () => {
    const { task } = launched(podWith([http, dns]));
    const bound: Pod = {
      ...task.pod!,
      metadata: { ...task.pod!.metadata, annotations: hostPortNotes(task.pod!, task.anyPorts) },
      spec: { ...task.pod!.spec, nodeName: 'host-a1' },
    };
    expect(hostPortsOf(bound)).toEqual([31_100, 31_099]);
    const state = offered();
    const effects = state.addHomeless(bound, 0);
    expect(effects).toBeDefined();
    const again = state.tasks.ofPod(bound.metadata.uid!)!;
    expect([again.want.ports, again.anyPorts]).toEqual([[31_100, 31_099], []]);
  });

  test('are known after a restart, from the record of the launch', () => {
    const { task } = launched(podWith([http]));
    const { id, uid, key, node, agentId, anyPorts } = task;
    const state = offered();
    const known = {
      id,
      uid,
      key,
      node,
      agentId,
      anyPorts,
      stage: 'launching' as const,
      record: 'launch-1',
      rebound: false,
    };
    state.seats.recovered([{ ...known, pod: undefined }], () => task.pod);
    const [bind] = state.updated(statusOf(id, agentId, 'TASK_STARTING'), 0);
    expect(bind).toMatchObject({ do: 'bind', task: { anyPorts: [31_100] } });
  });
});

describe('other frameworks', () => {
  test('find a pod by the name of its task, its labels and its ports', () => {
    const { info } = launched(podWith([http, dns]));
    expect(info.discovery).toEqual({
      visibility: 'CLUSTER',
      name: 'web.default.pod',
      ports: {
        ports: [
          { number: 31_100, protocol: 'tcp', name: 'http' },
          { number: 31_099, protocol: 'udp' },
        ],
      },
    });
    expect(info.labels?.labels).toContainEqual({ key: 'app', value: 'web' });
  });

  test('find it as its labels say', () => {
    const discovery = { name: 'shop', visibility: 'external', environment: 'prod', location: 'eu', version: '3' };
    const labels = Object.fromEntries(
      Object.entries(discovery).map(([key, value]) => [`k8s.mesosphere.io/discovery-${key}`, value]),
    );
    expect(launched(podWith([], { labels })).info.discovery).toEqual({ ...discovery, visibility: 'EXTERNAL' });
  });
});
