import { test } from '@jest/globals';
import fc from 'fast-check';
import type { TaskState } from '../../mesos/tasks.ts';
import { Ledger } from './ledger.ts';

type Step = [what: string, (ledger: Ledger, agent: string, k: number) => void, often: number];

const becomes =
  (...states: TaskState[]) =>
  (ledger: Ledger, _: string, k: number) =>
    ledger.becomes(k, states[k % states.length]!);

const steps: Step[] = [
  ['offer', (ledger, agent, k) => ledger.offer(agent, 1 + (k % 6)), 6],
  ['rescind', (ledger, _, k) => ledger.rescind(k), 1],
  ['reserve', (ledger, agent, k) => ledger.reserve(agent, 1 + (k % 4)), 8],
  ['launch', (ledger) => ledger.launch(true), 5],
  ['no record', (ledger) => ledger.launch(false), 1],
  ['a task runs', becomes('TASK_RUNNING'), 5],
  ['a task ends', becomes('TASK_FINISHED', 'TASK_FAILED', 'TASK_LOST', 'TASK_DROPPED', 'TASK_ERROR'), 3],
  ['tell', (ledger, _, k) => ledger.tell(k), 10],
  ['write', (ledger, _, k) => ledger.write(k, false), 6],
  ['refuse', (ledger, _, k) => ledger.write(k, true), 1],
  ['delete', (ledger, _, k) => ledger.delete(k), 2],
  ['an agent is lost', (ledger, agent) => ledger.loses(agent), 1],
  ['an agent is back', (ledger, agent) => ledger.returns(agent), 1],
  ['reconnect', (ledger) => ledger.reconnects(), 1],
  ['time passes', (ledger, _, k) => ledger.passes(1 + k * 50), 4],
];

/** Anything may happen in any order; the books must balance. */
test('no resource is spent twice, every offer and every status ends once, no pod has two tasks, whatever happens', () => {
  const step = fc.record({
    what: fc.oneof(...steps.map(([what, , weight]) => ({ arbitrary: fc.constant(what), weight }))),
    agent: fc.constantFrom('a0', 'a1', 'a2'),
    k: fc.nat(40),
  });
  const actions = new Map(steps.map(([what, action]) => [what, action]));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (sequence) => {
      const ledger = new Ledger();
      for (const { what, agent, k } of sequence) {
        actions.get(what)!(ledger, agent, k);
        ledger.check();
      }
      ledger.settles();
      ledger.check();
      ledger.checkEnd();
    }),
    { numRuns: 200 },
  );
});
