/** The calls of an agent's API that launch, attach to, wait for, kill and remove containers. */
import type { Call, ProcessIO, Response } from '../mesos/agent.ts';
import { agentCall, agentResponse, contentTypes, processIO, type ContentType } from '../mesos/codec.ts';
import type { ContainerID } from '../mesos/types.ts';
import type { Principal } from './authentication.ts';
import { rootOf, type Containers } from './containers.ts';
import { answer, answerMessage, HttpAnswer, negotiate, recordio, RecordStream, type Request } from './http.ts';
import { idError } from './roles.ts';

/** False for a call that is not about these containers. Throws HttpAnswer. */
export async function handleContainers(
  containers: Containers,
  call: Call,
  request: Request,
  who: Principal | undefined,
): Promise<boolean> {
  const error = callError(call);
  if (error !== undefined) throw new HttpAnswer(400, `Failed to validate agent::Call: ${error}`);
  checkOwner(containers, call, who);
  const { response } = request;
  switch (call.type) {
    case 'LAUNCH_NESTED_CONTAINER':
      return launch(containers, call.launch_nested_container, request);
    case 'LAUNCH_CONTAINER':
      return launch(containers, call.launch_container, request);
    case 'WAIT_NESTED_CONTAINER':
    case 'WAIT_CONTAINER': {
      const contentType = negotiate(request.headers.accept);
      answerMessage(response, agentResponse, await waited(containers, call), contentType);
      return true;
    }
    case 'KILL_NESTED_CONTAINER':
    case 'KILL_CONTAINER': {
      const { container_id, signal } = 'kill_container' in call ? call.kill_container : call.kill_nested_container;
      containers.kill(container_id, signal ?? 9);
      break;
    }
    case 'REMOVE_NESTED_CONTAINER':
      containers.remove(call.remove_nested_container.container_id);
      break;
    case 'REMOVE_CONTAINER':
      containers.remove(call.remove_container.container_id);
      break;
    case 'LAUNCH_NESTED_CONTAINER_SESSION':
      return openSession(containers, call.launch_nested_container_session, request);
    case 'ATTACH_CONTAINER_OUTPUT': {
      const contentType = negotiateRecords(request);
      const switchboard = containers.switchboard(call.attach_container_output.container_id);
      switchboard.addReader(recordsTo(request, contentType));
      return true;
    }
    case 'ATTACH_CONTAINER_INPUT':
      throw new HttpAnswer(415, `Expecting 'Content-Type' to be ${recordio} for ATTACH_CONTAINER_INPUT call`);
    default:
      return false;
  }
  answer(response, 200);
  return true;
}

type Wait = Extract<Call, { type: 'WAIT_CONTAINER' | 'WAIT_NESTED_CONTAINER' }>;

async function waited(containers: Containers, call: Wait): Promise<Response> {
  if (call.type === 'WAIT_CONTAINER') {
    const exit_status = await containers.wait(call.wait_container.container_id);
    return { type: call.type, wait_container: { exit_status } };
  }
  const exit_status = await containers.wait(call.wait_nested_container.container_id);
  return { type: call.type, wait_nested_container: { exit_status } };
}

type Launched = Omit<Parameters<Containers['launch']>[0], 'id' | 'isSession' | 'command'>;
type LaunchCall = Launched & { container_id: ContainerID; command?: Parameters<Containers['launch']>[0]['command'] };

function launch(containers: Containers, call: LaunchCall, { response }: Request): true {
  const { container_id: id, command = {}, container, resources } = call;
  const done = containers.launch({ id, command, container, resources, isSession: false });
  answer(response, done === 'launched' ? 200 : 202);
  return true;
}

/** Its container lives as long as the connection that asked for it. */
function openSession(containers: Containers, call: LaunchCall, request: Request): true {
  const { container_id: id, command = {}, container } = call;
  const contentType = negotiateRecords(request);
  if (containers.launch({ id, command, container, isSession: true }) !== 'launched') {
    answer(request.response, 202);
    return true;
  }
  const reader = recordsTo(request, contentType);
  containers.switchboard(id).addReader(reader);
  // Not when all of it was sent: a command may end its output before itself.
  reader.onClose(() => request.response.writableEnded || containers.destroy(id));
  return true;
}

const recordsTo = ({ response }: Request, type: ContentType): RecordStream<ProcessIO> =>
  new RecordStream(response, processIO, type, { 'content-type': recordio, 'message-content-type': type });

/** What the records of an answer are to be. Throws HttpAnswer. */
function negotiateRecords({ headers }: Request): ContentType {
  if (!headers.accept?.includes(recordio))
    throw new HttpAnswer(406, `The devcluster answers this call with ${recordio} alone`);
  return negotiate([headers['message-accept'] ?? '*/*'].join());
}

/** ATTACH_CONTAINER_INPUT, a request that goes on: the container first, then what it is to read. */
export async function handleInput(containers: Containers, request: Request): Promise<void> {
  const { headers, response, records } = request;
  const given = headers['message-content-type'];
  if (given === undefined)
    throw new HttpAnswer(400, "Expecting 'Message-Content-Type' to be set for streaming requests");
  const type = contentTypes.find((known) => known === given);
  if (!type)
    throw new HttpAnswer(415, "Expecting 'Message-Content-Type' of application/json or application/x-protobuf");
  let switchboard: ReturnType<Containers['switchboard']> | undefined;
  try {
    for await (const record of records ?? []) {
      const call = agentCall.decode(record, type);
      if (call.type !== 'ATTACH_CONTAINER_INPUT')
        throw new HttpAnswer(415, `Streaming 'Content-Type' ${recordio} is not supported for ${call.type} call`);
      const { type: kind, container_id, process_io } = call.attach_container_input;
      if (switchboard) {
        if (kind !== 'PROCESS_IO')
          throw new HttpAnswer(400, "Expecting 'attach_container_input.type' to be 'PROCESS_IO'");
        await switchboard.write(process_io ?? {});
        continue;
      }
      if (kind !== 'CONTAINER_ID' || !container_id)
        throw new HttpAnswer(400, "Expecting 'attach_container_input.type' to be CONTAINER_ID");
      const found = containers.switchboard(container_id);
      if (!found.takeInput()) throw new HttpAnswer(409, 'Multiple input connections are not allowed');
      switchboard = found;
      // Whoever writes learns that nobody reads any more.
      void found.done.then(() => response.headersSent || answer(response, 200));
    }
  } finally {
    switchboard?.releaseInput();
  }
  if (!response.headersSent) answer(response, 200);
}

/** The member that names a container, by the type of the call. */
const members = [
  'launch_nested_container',
  'wait_nested_container',
  'kill_nested_container',
  'remove_nested_container',
  'launch_nested_container_session',
  'attach_container_output',
  'launch_container',
  'wait_container',
  'kill_container',
  'remove_container',
] as const;

const memberOf = (call: Call) => members.find((name) => name === call.type.toLowerCase());
const askedIn = (call: Call, member: string) =>
  new Map<string, { container_id: ContainerID }>(Object.entries(call)).get(member);

/** An executor with a token launches, awaits, ends and removes what is below its own container. Throws HttpAnswer. */
function checkOwner(containers: Containers, call: Call, who: Principal | undefined): void {
  const member = memberOf(call);
  if (!who || !('claims' in who) || !member || !/^(launch|wait|kill|remove)_/.test(member)) return;
  const id = askedIn(call, member)?.container_id;
  const root = id && rootOf(id);
  if (!root || root === who.claims['cid']) return;
  // Of a parent that is not there Mesos says so first.
  if (!id.parent || containers.has(root)) throw new HttpAnswer(403, '403 Forbidden.');
}

function callError(call: Call): string | undefined {
  const member = memberOf(call);
  if (!member) return undefined;
  const asked = askedIn(call, member);
  if (!asked) return `Expecting '${member}' to be present`;
  const id = asked.container_id;
  const wrong = containerIdError(id);
  if (wrong !== undefined) return `'${member}.container_id' is invalid: ${wrong}`;
  if (member.includes('nested') && !id.parent) return `Expecting '${member}.container_id.parent' to be present`;
  return call.type === 'LAUNCH_CONTAINER' ? launchError(call) : undefined;
}

function launchError({ launch_container: call }: Extract<Call, { type: 'LAUNCH_CONTAINER' }>): string | undefined {
  if (!call.container_id.parent?.parent) return undefined;
  const deep = "'launch_container' is invalid: containers nested at the second level or greater cannot";
  if ((call.resources ?? []).length > 0) return `${deep} specify resources`;
  if (Object.keys(call.limits ?? {}).length > 0) return `${deep} specify resource limits`;
  return call.container?.linux_info?.share_cgroups === false ? `${deep} set 'share_cgroups' to 'false'` : undefined;
}

const longestId = 242;

function containerIdError({ value, parent }: ContainerID): string | undefined {
  const error = idError(value);
  if (error !== undefined) return error;
  if (value.length > longestId) return `'ContainerID.value' '${value}' exceeds the maximum length (${longestId})`;
  if (/[. ]/.test(value)) return `'ContainerID.value' '${value}' contains invalid characters`;
  const above = parent && containerIdError(parent);
  return above === undefined ? undefined : `'ContainerID.parent' is invalid: ${above}`;
}
