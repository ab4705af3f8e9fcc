/** POST /api/v1/executor of the agent: the checks in Mesos' order, then the call. */
import { executorCall, executorEvent } from '../mesos/codec.ts';
import type { Call, Event } from '../mesos/executor.ts';
import type { AgentInfo } from '../mesos/types.ts';
import type { TaskStatus } from '../mesos/tasks.ts';
import { claimsError, type Principal } from './authentication.ts';
import type { Executor } from './executors.ts';
import { answer, HttpAnswer, negotiate, readCall, RecordStream, type Request } from './http.ts';
import { uuidError } from './roles.ts';

/** What the endpoint needs of its agent. */
export interface ExecutorDesk {
  readonly info: AgentInfo;
  hasFramework(id: string): boolean;
  executor(frameworkId: string, executorId: string): Executor | undefined;
  update(executor: Executor, status: TaskStatus): void;
  message(executor: Executor, data: Uint8Array): void;
}

export function handleExecutor(desk: ExecutorDesk, request: Request, who: Principal | undefined): void {
  const { call } = readCall(request, executorCall);
  const error = callError(call);
  if (error !== undefined) throw new HttpAnswer(400, `Failed to validate Executor::Call: ${error}`);
  const contentType = call.type === 'SUBSCRIBE' ? negotiate(request.headers.accept) : undefined;
  if (!desk.hasFramework(call.framework_id.value)) throw new HttpAnswer(400, 'Framework cannot be found');
  const executor = desk.executor(call.framework_id.value, call.executor_id.value);
  if (!executor || executor.state === 'terminated') throw new HttpAnswer(400, 'Executor cannot be found');
  const foreign = who && claimsError(who, executor);
  if (foreign !== undefined) throw new HttpAnswer(403, foreign);
  if (call.type === 'SUBSCRIBE')
    return subscribe(desk, executor, call, new RecordStream(request.response, executorEvent, contentType!, {}));
  if (executor.state === 'registering') throw new HttpAnswer(403, 'Executor is not subscribed');
  if (call.type === 'UPDATE') desk.update(executor, call.update.status);
  else if (call.type === 'MESSAGE') desk.message(executor, call.message.data);
  else if (call.type !== 'HEARTBEAT') throw new HttpAnswer(501, 'Unimplemented call');
  answer(request.response, 202);
}

function callError(call: Call): string | undefined {
  if (!('type' in call)) return "Expecting 'type' to be present";
  if (call.type === 'SUBSCRIBE' && !('subscribe' in call)) return "Expecting 'subscribe' to be present";
  if (call.type === 'MESSAGE' && !('message' in call)) return "Expecting 'message' to be present";
  if (call.type !== 'UPDATE') return undefined;
  return 'update' in call ? statusError(call, call.update.status) : "Expecting 'update' to be present";
}

function statusError(call: Call, status: TaskStatus): string | undefined {
  const [executor, framework] = [call.executor_id.value, call.framework_id.value];
  if (!status.uuid) return "Expecting 'uuid' to be present";
  const bad = uuidError(status.uuid);
  if (bad !== undefined) return bad;
  if (status.executor_id && status.executor_id.value !== executor)
    return `ExecutorID in Call: ${executor} does not match ExecutorID in TaskStatus: ${status.executor_id.value}`;
  const from = `from executor ${executor} of framework ${framework}`;
  if (status.source !== 'SOURCE_EXECUTOR')
    return `Received Call ${from} with invalid source, expecting 'SOURCE_EXECUTOR'`;
  return status.state === 'TASK_STAGING' ? `Received TASK_STAGING ${from} which is not allowed` : undefined;
}

function subscribe(
  desk: ExecutorDesk,
  executor: Executor,
  call: Extract<Call, { type: 'SUBSCRIBE' }>,
  stream: RecordStream<Event>,
): void {
  const { unacknowledged_tasks = [], unacknowledged_updates = [] } = call.subscribe;
  const isReturn = executor.state === 'running';
  executor.subscribed(stream, {
    type: 'SUBSCRIBED',
    subscribed: {
      executor_info: executor.info,
      framework_info: executor.framework,
      agent_info: desk.info,
      container_id: { value: executor.containerId },
    },
  });
  for (const { status } of unacknowledged_updates) desk.update(executor, status);
  if (isReturn) executor.dropUnknown(new Set(unacknowledged_tasks.map(({ task_id }) => task_id.value)));
}
