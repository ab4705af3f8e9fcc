import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MesosRuntime } from '../../executor/runtimes/mesos.ts';
import { silent } from '../../lib/log.ts';
import { askAgent } from '../../mesos/operator.ts';
import { Framework, cluster, endAll, executor, task } from '../devcluster/builders.ts';

/** An agent of a development Mesos with an executor, below which containers can be nested. */
export interface MesosAgentForTests {
  url: string;
  /** Of the executor. */
  containerId: string;
  sandbox: string;
  framework: Framework;
  open(root: string, containerId?: string): Promise<MesosRuntime>;
  /** Those nested below the executor's, `<parent>.<id>`; and what is left of their sandboxes. */
  nested(): Promise<string[]>;
  sandboxes(): string[];
  /** Of the executor itself. */
  pid: number;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startMesosAgent(): Promise<MesosAgentForTests> {
  const devcluster = await cluster();
  const framework = await Framework.open(devcluster.masterUrl);
  const offer = await framework.offer();
  await framework.launch(offer, task('t', offer, { executor: executor('ex') }));
  const { container_status } = await framework.reached('t', 'TASK_RUNNING');
  const index = devcluster.agents.findIndex(({ id }) => id === offer.agent_id.value);
  const url = devcluster.agents[index]?.url ?? '';
  const containerId = container_status?.container_id?.value ?? '';
  const state: unknown = await (await fetch(`${url}/state`)).json();
  const sandbox = /"directory":"([^"]+)"/.exec(JSON.stringify(state))?.[1] ?? '';
  const nested = async () => {
    const call = { type: 'GET_CONTAINERS' as const, get_containers: { show_nested: true } };
    const { get_containers } = await askAgent({ url }, call);
    return (get_containers.containers ?? []).flatMap(({ container_status: status }) => {
      const id = status?.container_id;
      return id?.parent ? [`${id.parent.value}.${id.value}`] : [];
    });
  };
  const pid = container_status?.executor_pid ?? 0;
  const common = { agent: { url }, sandbox, pid, nodeIp: '127.0.0.1', log: silent };
  return {
    ...{ url, containerId, sandbox, framework, nested, pid },
    open: (root, id = containerId) => MesosRuntime.open({ ...common, containerId: id, root }),
    sandboxes: () => readdirSync(join(sandbox, 'containers')),
    restart: () => devcluster.faults.restartAgent(index),
    stop: endAll,
  };
}
