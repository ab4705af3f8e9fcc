import { describe, expect, test } from '@jest/globals';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import { annotations } from '../../api/kinds/names.ts';
import { Quotas } from '../../framework/quotas.ts';
import { Agent, factsOf } from '../../framework/agents.ts';
import { needsOf } from '../../framework/index.ts';
import { rejectionOf } from '../../framework/rejection.ts';
import { wantOf } from '../../framework/resources.ts';
import { makeOffer, ports, scalar } from './builders.ts';

const total = [scalar('cpus', 2), scalar('mem', 1024), ports(31000, 31100)];
const needs = needsOf({ cpu: 250, memory: 64 * 1024 * 1024 }, 'fixed');

let serial = 0;
const pod = (spec: object = {}, more: Partial<Pod['metadata']> = {}): Pod => ({
  metadata: { name: `p${(serial += 1)}`, namespace: 'default', uid: `uid-${serial}`, ...more },
  spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i', ...spec }] } as PodSpec,
});
const hostPort = (port: number) => ({ ports: [{ containerPort: 80, hostPort: port }] });
const asking = (cpu: string) => ({ resources: { requests: { cpu } } });

/** An agent of two cpus, and what is there already. */
function agentWith(...pods: Pod[]): Agent {
  const facts = { ...factsOf(makeOffer('a1')), total };
  const agent = new Agent('n', facts, {
    overhead: wantOf([]),
    lead: 0,
    maxPods: 110,
    isRevocable: false,
    quotas: new Quotas(),
  });
  for (const one of pods) agent.addPod(one);
  return agent;
}

describe('a pod that somebody bound to a node', () => {
  test('waits for offers, if there is room beside the pods that are there', () => {
    const mine = pod(hostPort(31001));
    const agent = agentWith(pod(hostPort(31000)), pod(asking('1')), mine);
    expect(rejectionOf(mine, agent, needs)).toBeUndefined();
  });

  test('is refused for a host port that another pod has, or that its agent has not', () => {
    const agent = agentWith(pod(hostPort(31000)));
    expect(rejectionOf(pod(hostPort(31000)), agent, needs)).toEqual({
      reason: 'NodePorts',
      message: expect.stringMatching("Predicate NodePorts failed: node\\(s\\) didn't have free ports"),
    });
    expect(rejectionOf(pod(hostPort(80)), agent, needs)).toEqual({
      reason: 'NodePorts',
      message: expect.stringMatching('port 80 is not among the ports that the Mesos agent of node n has'),
    });
  });

  test('is refused for what the pods that are there leave too little of, as a kubelet says it', () => {
    expect(rejectionOf(pod(asking('1500m')), agentWith(pod(asking('1'))), needs)).toEqual({
      reason: 'OutOfcpu',
      message: "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
    });
  });

  test('does not mind pods that have ended', () => {
    const ended: Pod = { ...pod(hostPort(31000)), status: { phase: 'Succeeded' } };
    expect(rejectionOf(pod(hostPort(31000)), agentWith(ended), needs)).toBeUndefined();
  });

  test('that ran already is never refused: it waits for its place', () => {
    const ran = pod(hostPort(31000), { annotations: { [annotations.taskId]: 't' } });
    expect(rejectionOf(ran, agentWith(pod(hostPort(31000))), needs)).toBeUndefined();
  });

  test('is not refused while nobody knows how much its agent has', () => {
    const agent = new Agent('n', factsOf(makeOffer('a1')), {
      overhead: wantOf([]),
      lead: 0,
      maxPods: 110,
      isRevocable: false,
      quotas: new Quotas(),
    });
    expect(rejectionOf(pod(asking('64')), agent, needs)).toBeUndefined();
  });
});
