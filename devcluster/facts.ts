/** Flags and metrics, as far as a devcluster has them. */
import type { Master } from './state.ts';
import { printDuration } from './resource-text.ts';

export function flags(master: Master): { name: string; value: string }[] {
  const { timings } = master;
  return Object.entries({
    agent_ping_timeout: printDuration(timings.agentPingTimeout / 5),
    allocation_interval: printDuration(timings.allocationInterval),
    authenticate_http_frameworks: String(master.authenticates),
    max_agent_ping_timeouts: '5',
    port: String(master.info.port),
  }).map(([name, value]) => ({ name, value }));
}

export function metrics(master: Master): { name: string; value: number }[] {
  const frameworks = [...master.frameworks.values()];
  const agents = [...master.agents.values()];
  const tasks = frameworks.flatMap((framework) => [...framework.tasks.values()]);
  const running = (state: string) => tasks.filter(({ task }) => task.state === state).length;
  return Object.entries({
    'master/elected': 1,
    'master/uptime_secs': (Date.now() - master.startedAt) / 1000,
    'master/frameworks_active': frameworks.filter((framework) => framework.stream).length,
    'master/frameworks_connected': frameworks.filter((framework) => framework.stream).length,
    'master/frameworks_disconnected': frameworks.filter((framework) => !framework.stream).length,
    'master/slaves_active': agents.filter((agent) => agent.connected).length,
    'master/slaves_disconnected': agents.filter((agent) => !agent.connected).length,
    'master/slaves_unreachable': master.registry.unreachable.size,
    'master/outstanding_offers': master.offers.size,
    'master/tasks_staging': running('TASK_STAGING'),
    'master/tasks_starting': running('TASK_STARTING'),
    'master/tasks_running': running('TASK_RUNNING'),
  }).map(([name, value]) => ({ name, value }));
}
