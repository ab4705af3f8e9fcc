import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TaskInfo } from '../../mesos/tasks.ts';
import { type TaskAction, type TaskEvent, Tasks } from '../../executor/tasks.ts';

const task = (uid: string, attempt = 0): TaskInfo => ({
  name: uid,
  task_id: { value: `pod.${uid}.${attempt}` },
  agent_id: { value: 'a' },
  data: Buffer.from(JSON.stringify({ namespace: 'default', name: uid, uid })),
});

const options = { executorId: 'e', agentId: 'a', launchGrace: 1000, idleTimeout: 60_000 };

function ledger(more: Partial<typeof options> = {}) {
  const tasks = new Tasks({ ...options, ...more });
  const on = (event: TaskEvent, now = 0) => tasks.on(event, now).map(brief);
  on({ type: 'subscribed', knowsKilling: true });
  return { tasks, on };
}
const brief = (action: TaskAction): string => {
  if (action.type === 'update') return `${action.status.state} ${action.status.task_id.value}`;
  if (action.type === 'exit') return 'exit';
  return action.type === 'end'
    ? `end ${action.uid}${action.graceSeconds === undefined ? '' : ` in ${action.graceSeconds} s`}${action.remove ? ' and remove' : ''}`
    : `${action.type} ${action.uid}`;
};

describe('tasks', () => {
  test('a launch is answered at once, and its pod may start', () => {
    const { on } = ledger();
    expect(on({ type: 'launch', task: task('p') })).toEqual(['TASK_STARTING pod.p.0', 'admit p']);
    expect(on({ type: 'launch', task: task('p') })).toEqual([]);
    on({ type: 'bound', uid: 'p', taskId: 'pod.p.0' });
    expect(on({ type: 'report', uid: 'p', report: { phase: 'Running' } })).toEqual(['TASK_RUNNING pod.p.0']);
    expect(on({ type: 'report', uid: 'p', report: { phase: 'Running' } })).toEqual([]);
    expect(on({ type: 'report', uid: 'p', report: { phase: 'Succeeded' } })).toEqual([
      'TASK_FINISHED pod.p.0',
      'dismiss p',
    ]);
    expect(on({ type: 'report', uid: 'p', report: { phase: 'Succeeded', gone: true } })).toEqual([]);
  });

  test('an executor leaves when no pod has been on it for long, not even one that has ended', () => {
    const { tasks, on } = ledger();
    const tick = (now: number) => on({ type: 'tick' }, now);
    const acknowledge = () =>
      tasks
        .subscription()
        .unacknowledged_updates?.forEach(({ status }) =>
          on({ type: 'acknowledged', taskId: status.task_id.value, uuid: status.uuid! }),
        );
    expect([tick(0), tick(59_000)]).toEqual([[], []]);
    on({ type: 'bound', uid: 'p', taskId: 'pod.p.0' });
    on({ type: 'launch', task: task('p') });
    expect(tick(100_000)).toEqual([]);
    on({ type: 'report', uid: 'p', report: { phase: 'Succeeded' } });
    acknowledge();
    expect(tick(200_000)).toEqual([]);
    on({ type: 'report', uid: 'p', report: { phase: 'Succeeded', gone: true } });
    // Its object may be heard of once more before it goes.
    on({ type: 'bound', uid: 'p', taskId: 'pod.p.0' });
    expect([tick(210_000), tick(290_000)]).toEqual([[], []]);
    on({ type: 'unbound', uid: 'p' });
    expect([tick(300_000), tick(359_000), tick(360_000)]).toEqual([[], [], ['exit']]);
  });

  test('an executor stays while an update of its is not acknowledged, or where it is to stay for ever', () => {
    const { on } = ledger();
    on({ type: 'launch', task: task('p') });
    on({ type: 'kill', taskId: 'pod.p.0', graceSeconds: 1 });
    expect([on({ type: 'tick' }, 1), on({ type: 'tick' }, 100_000)]).toEqual([[], []]);
    const forEver = ledger({ idleTimeout: 0 });
    expect([forEver.on({ type: 'tick' }, 0), forEver.on({ type: 'tick' }, 1e9)]).toEqual([[], []]);
  });

  test('readiness is told as health, where the pod tells it, and each change of it', () => {
    const { tasks, on } = ledger();
    on({ type: 'launch', task: task('p') });
    on({ type: 'bound', uid: 'p', taskId: 'pod.p.0' });
    const healthOf = (isReady: boolean | undefined) =>
      tasks
        .on(
          { type: 'report', uid: 'p', report: { phase: 'Running', ...(isReady === undefined ? {} : { isReady }) } },
          0,
        )
        .map((action) => action.type === 'update' && [action.status.state, action.status.healthy]);
    expect(healthOf(false)).toEqual([['TASK_RUNNING', false]]);
    expect(healthOf(false)).toEqual([]);
    expect(healthOf(true)).toEqual([['TASK_RUNNING', true]]);
    expect(healthOf(true)).toEqual([]);
    expect(healthOf(false)).toEqual([['TASK_RUNNING', false]]);
    on({ type: 'kill', taskId: 'pod.p.0', graceSeconds: 1 });
    expect(healthOf(true)).toEqual([]);
  });

  test('a task that says no pod fails', () => {
    const { on } = ledger();
    expect(on({ type: 'launch', task: { ...task('p'), data: Buffer.from('{') } })).toEqual(['TASK_FAILED pod.p.0']);
  });

  test('a newer task of the same pod takes it over without touching it', () => {
    const { on } = ledger();
    on({ type: 'launch', task: task('p') });
    expect(on({ type: 'launch', task: task('p', 1) })).toEqual([
      'TASK_KILLED pod.p.0',
      'TASK_STARTING pod.p.1',
      'admit p',
    ]);
    on({ type: 'bound', uid: 'p', taskId: 'pod.p.1' });
    expect(on({ type: 'kill', taskId: 'pod.p.0', graceSeconds: undefined })).toEqual([]);
  });

  test('a kill removes only the pod that is the task’s own', () => {
    const { on } = ledger();
    on({ type: 'launch', task: task('own') });
    on({ type: 'bound', uid: 'own', taskId: 'pod.own.0' });
    expect(on({ type: 'kill', taskId: 'pod.own.0', graceSeconds: 3 })).toEqual([
      'TASK_KILLING pod.own.0',
      'end own in 3 s and remove',
    ]);
    expect(on({ type: 'report', uid: 'own', report: { phase: 'Failed', gone: true } })).toEqual([
      'TASK_KILLED pod.own.0',
      'dismiss own',
    ]);

    on({ type: 'launch', task: task('other') });
    on({ type: 'bound', uid: 'other', taskId: 'pod.other.7' });
    expect(on({ type: 'kill', taskId: 'pod.other.0', graceSeconds: 3 })).toEqual([
      'TASK_KILLED pod.other.0',
      'dismiss other',
    ]);
    expect(on({ type: 'kill', taskId: 'unknown', graceSeconds: 3 })).toEqual([]);
  });

  test('a launch that is not followed by a binding is given up after its grace', () => {
    const { on } = ledger();
    on({ type: 'launch', task: task('p') });
    expect(on({ type: 'tick' }, 900)).toEqual([]);
    expect(on({ type: 'tick' }, 1100)).toEqual(['TASK_FAILED pod.p.0', 'dismiss p']);
  });

  test('a shutdown exits when all is told and acknowledged', () => {
    const { tasks, on } = ledger();
    on({ type: 'launch', task: task('p') });
    on({ type: 'bound', uid: 'p', taskId: undefined });
    expect(on({ type: 'shutdown', graceSeconds: 1 })).toEqual(['end p in 1 s']);
    expect(on({ type: 'launch', task: task('q') })).toEqual(['TASK_KILLED pod.q.0']);
    expect(on({ type: 'report', uid: 'p', report: { phase: 'Running', gone: true } })).toEqual([
      'TASK_KILLED pod.p.0',
      'dismiss p',
    ]);
    const updates = tasks.subscription().unacknowledged_updates!;
    const answers = updates.map(({ status }) =>
      on({ type: 'acknowledged', taskId: status.task_id.value, uuid: status.uuid! }),
    );
    expect(answers.flat()).toEqual(['exit']);
  });

  test('whatever happens, each task ends at most once, and what is not acknowledged is kept', () => {
    const events = fc.array(
      fc.record({
        kind: fc.integer({ min: 0, max: 7 }),
        uid: fc.constantFrom('a', 'b'),
        attempt: fc.integer({ min: 0, max: 2 }),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(events, (all) => {
        const tasks = new Tasks(options);
        const ends = new Map<string, number>();
        const told = new Map<string, string>();
        let now = 0;
        for (const { kind, uid, attempt } of all) {
          now += 300;
          const taskId = `pod.${uid}.${attempt}`;
          const [first] = told;
          const event: TaskEvent[] = [
            { type: 'launch', task: task(uid, attempt) },
            { type: 'bound', uid, taskId },
            { type: 'report', uid, report: { phase: 'Running' } },
            { type: 'report', uid, report: { phase: 'Failed' } },
            { type: 'report', uid, report: { phase: 'Failed', gone: true } },
            { type: 'kill', taskId, graceSeconds: undefined },
            { type: 'tick' },
            { type: 'acknowledged', taskId: first?.[1] ?? '', uuid: Buffer.from(first?.[0] ?? '', 'hex') },
          ];
          if (kind === 0 && ends.has(taskId)) continue; // Mesos never launches one task twice
          if (kind === 7 && first) told.delete(first[0]);
          for (const action of tasks.on(event[kind]!, now)) {
            if (action.type !== 'update') continue;
            const { state, task_id, uuid } = action.status;
            told.set(Buffer.from(uuid!).toString('hex'), task_id.value);
            if (['TASK_FINISHED', 'TASK_FAILED', 'TASK_KILLED'].includes(state))
              ends.set(task_id.value, (ends.get(task_id.value) ?? 0) + 1);
          }
          const kept = tasks
            .subscription()
            .unacknowledged_updates!.map(({ status }) => Buffer.from(status.uuid!).toString('hex'));
          expect(kept).toEqual([...told.keys()]);
        }
        expect([...ends.values()].every((times) => times === 1)).toBe(true);
      }),
    );
  });
});
