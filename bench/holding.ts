/** What the framework's books cost in memory: running tasks on many agents, all of which offer something. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { silent } from '../lib/log.ts';
import { State } from '../framework/state.ts';
import { makeOffer, register, stateOptions } from '../test/framework/builders.ts';
import { makePod } from '../test/scheduler/builders.ts';
import { report } from './report.ts';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes that are in use, with what lies outside the heap. */
function used(): number {
  if (typeof collect === 'function') collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function holding(agents: number, tasks: number): State {
  const state = new State(stateOptions, silent);
  state.subscribed('f-0001', 0);
  state.offered(
    Array.from({ length: agents }, (_, i) => makeOffer(`a${i}`, { cpus: 16, mem: 65_536, executor: true })),
    0,
  );
  register(state);
  for (let i = 0; i < tasks; i++) {
    const agentId = `a${i % agents}`;
    const node = `host-${agentId}`;
    const pod = makePod(`p${i}`, { nodeName: node });
    const uid = pod.metadata.uid!;
    state.agentOfNode(node)?.addPod(pod);
    const known = { id: `pod.${uid}.0`, agentId, uid, key: `default/p${i}`, node };
    state.seats.adopt({ ...known, stage: 'bound', record: undefined, pod, rebound: true, anyPorts: [] });
  }
  return state;
}

const mega = 1024 * 1024;
const before = used();
const [agents, tasks] = [10_000, 100_000];
const state = holding(agents, tasks);
const value = (used() - before) / mega;
if (state.tasks.size !== tasks) throw new Error(`${state.tasks.size} tasks`);
report({ bench: 'holding', case: `${tasks} tasks on ${agents} agents`, value, unit: 'MB', goal: 1500, lower: true });
