import type { Pod } from '../api/kinds/pod.ts';
import { amountOf } from '../api/pod-requests.ts';
import { podLimit } from '../api/pod-resources.ts';
import type { ExecutorInfo, TaskInfo } from '../mesos/tasks.ts';
import type { Offer, OfferOperation } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import type { Agent } from './agents.ts';
import { discoveryOf, labelsOfTask, taskName } from './discovery.ts';
import { type Want, mesosName, toThousandths } from './resources.ts';
import type { Task } from './tasks.ts';

/**
 * What a task may use at most, beside what it is accounted with: nothing less, and of cpus all there are where the pod has
 * no limit, as one limit makes Mesos limit the sum over all tasks of the executor. Without a limit of memory what it is
 * accounted with is one, as ever.
 */
export function limitsOf({ spec }: Pod, { scalars }: Want): NonNullable<TaskInfo['limits']> {
  const limit = (resource: 'cpu' | 'memory') => {
    const text = podLimit(spec, resource);
    const asked = scalars.get(mesosName(resource)) ?? 0;
    return text === undefined ? undefined : Math.max(asked, toThousandths(resource, amountOf(resource, text))) / 1000;
  };
  const mem = limit('memory');
  return {
    ...(scalars.has('cpus') ? { cpus: { value: limit('cpu') ?? Infinity } } : {}),
    ...(scalars.has('mem') && mem !== undefined ? { mem: { value: mem } } : {}),
  };
}

/** How executors reach the apiserver, and prove to it that they may join. */
export interface Introduction {
  server: string;
  ca: string;
  token: string;
}

/** What is the same for every executor of this framework; it must never change while one lives (Mesos compares it). */
export interface ExecutorTemplate {
  name: string;
  command: string;
  uris: readonly string[];
  /** Thousandths. */
  cpus: number;
  mem: number;
  environment: Readonly<Record<string, string>>;
  introduction: Introduction;
  user: string | undefined;
}

export const executorId = (template: { name: string }): string => `km-${template.name}`;

/** `data` introduces the executor of the node to the apiserver: `{"server","ca","token","node"}`. */
export function executorInfo(
  template: ExecutorTemplate,
  frameworkId: string,
  resources: Resource[],
  node: string,
): ExecutorInfo {
  return {
    type: 'CUSTOM',
    executor_id: { value: executorId(template) },
    framework_id: { value: frameworkId },
    name: 'km kubelet',
    command: {
      value: template.command,
      shell: true,
      ...(template.user ? { user: template.user } : {}),
      ...(template.uris.length ? { uris: template.uris.map((value) => ({ value, extract: true, cache: true })) } : {}),
      environment: {
        variables: Object.entries(template.environment).map(([name, value]) => ({
          name,
          value,
          type: 'VALUE' as const,
        })),
      },
    },
    resources,
    data: Buffer.from(JSON.stringify({ ...template.introduction, node })),
  };
}

/** What an ACCEPT has the agent do: what the tasks need is made first. */
export function operationsOf(tasks: readonly Task[], { facts, executor }: Agent): OfferOperation[] {
  const task_infos = tasks.map((task) => {
    const limits = facts.limits ? limitsOf(task.pod!, task.want) : undefined;
    return taskInfo(task.pod!, task, executor!, limits);
  });
  return [...tasks.flatMap((task) => task.operations), { type: 'LAUNCH', launch: { task_infos } }];
}

function taskInfo(
  pod: Pod,
  { id, agentId, resources, anyPorts }: Pick<Task, 'id' | 'agentId' | 'resources' | 'anyPorts'>,
  executor: ExecutorInfo,
  limits?: TaskInfo['limits'],
): TaskInfo {
  const { namespace = '', name = '', uid = '' } = pod.metadata;
  return {
    name: taskName(pod),
    task_id: { value: id },
    agent_id: { value: agentId },
    resources,
    ...(limits ? { limits } : {}),
    executor,
    discovery: discoveryOf(pod, anyPorts),
    labels: labelsOfTask(pod),
    data: Buffer.from(JSON.stringify({ namespace, name, uid })),
  };
}

/** The agent already runs our executor, as far as this offer knows. */
export const hasExecutor = (offer: Offer, template: ExecutorTemplate): boolean =>
  (offer.executor_ids ?? []).some(({ value }) => value === executorId(template));
