#!/usr/bin/env node
// A small executor over the v1 API, in JSON. What it does is told by the data of its tasks, by messages and its environment.
import { randomUUID } from 'node:crypto';

const { MESOS_AGENT_ENDPOINT, MESOS_FRAMEWORK_ID, MESOS_EXECUTOR_ID, MESOS_CHECKPOINT } = process.env;
const { MESOS_EXECUTOR_AUTHENTICATION_TOKEN: token } = process.env;
const ids = { framework_id: { value: MESOS_FRAMEWORK_ID }, executor_id: { value: MESOS_EXECUTOR_ID } };
const url = `http://${MESOS_AGENT_ENDPOINT}/api/v1/executor`;
const tasks = new Map();
const unacknowledged = new Map();
let stream;
let over = false;

console.log(JSON.stringify({ environment: process.env, cwd: process.cwd() }));

const post = (call, signal) =>
  fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
    body: JSON.stringify({ ...ids, ...call }),
    signal,
  });

let calls = Promise.resolve();
const inOrder = (call) => {
  const sent = calls.then(() => post(call));
  calls = sent.catch(() => {});
  return sent;
};

function update(taskId, state, more = {}) {
  const uuid = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64');
  const status = {
    task_id: { value: taskId },
    state,
    source: 'SOURCE_EXECUTOR',
    timestamp: Date.now() / 1000,
    uuid,
    ...more,
  };
  if (taskId !== 'ghost') status.executor_id = ids.executor_id;
  unacknowledged.set(uuid, status);
  inOrder({ type: 'UPDATE', update: { status } }).catch(() => {});
}

const running = (id) =>
  update(id, 'TASK_RUNNING', {
    message: 'runs',
    data: Buffer.from('status data é').toString('base64'),
    labels: { labels: [{ key: 'pod', value: 'p1' }] },
    healthy: true,
  });

function launch(task) {
  const id = task.task_id.value;
  const data = JSON.parse(Buffer.from(task.data ?? '', 'base64').toString() || '{}');
  tasks.set(id, { task, data, known: false });
  if (data.error) {
    update(id, data.error, { reason: 'REASON_TASK_INVALID', message: 'refused by the executor' });
    tasks.delete(id);
  } else if (data.starting) update(id, 'TASK_STARTING');
  else if (!data.silent) running(id);
  if (data.run) setTimeout(() => end(id, data.state ?? 'TASK_FINISHED', 'done'), data.run);
}

function end(id, state, message) {
  if (tasks.delete(id)) update(id, state, { message });
}

function message(text) {
  const [verb, rest = ''] = text.split(' ');
  if (verb === 'echo') inOrder({ type: 'MESSAGE', message: { data: Buffer.from(`reply ${rest}`).toString('base64') } });
  else if (verb === 'exit') process.exit(Number(rest));
  else if (verb === 'crash') process.kill(process.pid, 'SIGKILL');
  else if (verb === 'reconnect') stream.abort();
  else if (verb === 'second') subscribe();
  else if (verb === 'errors') update('ghost', 'TASK_RUNNING');
}

function on(event) {
  if (event.type === 'SUBSCRIBED' && process.env.EXEC_EXIT_AT_SUBSCRIBED) process.exit(9);
  if (event.type === 'LAUNCH') launch(event.launch.task);
  if (event.type === 'LAUNCH_GROUP') event.launch_group.task_group.tasks.forEach(launch);
  if (event.type === 'MESSAGE') message(Buffer.from(event.message.data, 'base64').toString());
  if (event.type === 'ACKNOWLEDGED') {
    const status = unacknowledged.get(event.acknowledged.uuid);
    unacknowledged.delete(event.acknowledged.uuid);
    const entry = tasks.get(event.acknowledged.task_id.value);
    if (entry) entry.known = true;
    if (entry && status?.state === 'TASK_STARTING') running(event.acknowledged.task_id.value);
  }
  if (event.type === 'KILL') {
    const id = event.kill.task_id.value;
    if (tasks.get(id)?.data.killing) update(id, 'TASK_KILLING');
    end(id, 'TASK_KILLED', 'killed');
  }
  if (event.type === 'SHUTDOWN' && !process.env.EXEC_IGNORE_SHUTDOWN) {
    over = true;
    for (const id of [...tasks.keys()]) end(id, 'TASK_KILLED', 'shutdown');
    setTimeout(() => process.exit(0), 200);
  }
}

async function subscribe() {
  const mine = new AbortController();
  stream = mine;
  try {
    const unacknowledged_tasks = [...tasks.values()].filter(({ known }) => !known).map(({ task }) => task);
    const unacknowledged_updates = [...unacknowledged.values()].map((status) => ({ status }));
    const answer = await post(
      { type: 'SUBSCRIBE', subscribe: { unacknowledged_tasks, unacknowledged_updates } },
      mine.signal,
    );
    let buffer = Buffer.alloc(0);
    for await (const chunk of answer.body) {
      buffer = Buffer.concat([buffer, chunk]);
      for (;;) {
        const at = buffer.indexOf(10);
        const length = Number(buffer.subarray(0, at));
        if (at < 0 || buffer.length < at + 1 + length) break;
        on(JSON.parse(buffer.subarray(at + 1, at + 1 + length).toString()));
        buffer = buffer.subarray(at + 1 + length);
      }
    }
  } catch {
    // The agent is away, or we left.
  }
  if (over || stream !== mine) return;
  if (MESOS_CHECKPOINT !== '1') process.exit(0);
  setTimeout(subscribe, Number(process.env.EXEC_RETRY_MS ?? 200));
}

if (!process.env.EXEC_NEVER) await subscribe();
setInterval(() => {}, 1000);
