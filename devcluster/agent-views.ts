/** What an agent shows: its state, its containers, and the files of its sandboxes. */
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { agentCall, agentResponse } from '../mesos/codec.ts';
import type { Call, Response } from '../mesos/agent.ts';
import type { Agent } from './agent.ts';
import type { Principal } from './authentication.ts';
import { handleContainers, handleInput } from './container-api.ts';
import { shown } from './containers.ts';
import { answer, answerJson, answerMessage, HttpAnswer, negotiate, readCall, type Request } from './http.ts';
import { version } from './snapshot.ts';
import { isTerminal } from './status.ts';
import { flat, task as shownTask } from './views.ts';

export async function routeAgent(
  agent: Agent,
  path: string,
  request: Request,
  who: Principal | undefined,
): Promise<void> {
  const { response } = request;
  if (path.startsWith('/api/v1')) return handleOperator(agent, request, who);
  if (path.startsWith('/files/')) return handleFiles(agent, path.slice('/files/'.length), request);
  if (path.startsWith('/health')) return answer(response, 200);
  if (path.startsWith('/version')) return answerJson(response, { version });
  if (path.startsWith('/flags')) return answerJson(response, { flags: {} });
  if (path.startsWith('/metrics'))
    return answerJson(response, { 'slave/executors_running': executorsOf(agent).length });
  if (path.startsWith('/state')) return answerJson(response, state(agent));
  if (path.startsWith('/containers')) return answerJson(response, executorsOf(agent).map(container));
  if (path.startsWith('/monitor/statistics')) return answerJson(response, executorsOf(agent).map(container));
  throw new HttpAnswer(404, '404 Not Found.');
}

const executorsOf = (agent: Agent) =>
  [...agent.executors.values()].filter((executor) => executor.state !== 'terminated');
type Shown = ReturnType<typeof executorsOf>[number];

const container = (executor: Shown) => ({
  container_id: executor.containerId,
  executor_id: executor.id,
  executor_name: executor.info.name ?? '',
  framework_id: executor.frameworkId,
  source: executor.info.source ?? '',
  statistics: { timestamp: Date.now() / 1000 },
  status: { container_id: { value: executor.containerId }, executor_pid: executor.pid },
});

function containerOf({ frameworkId, id, info, containerId, pid, tasks: all }: Shown) {
  const live = [...all.values()].filter(({ task }) => !isTerminal(task.state));
  const resources = [...(info.resources ?? []), ...live.flatMap(({ task }) => task.resources ?? [])];
  return {
    framework_id: { value: frameworkId },
    executor_id: { value: id },
    executor_name: info.name ?? '',
    ...shown({ value: containerId }, pid, resources),
  };
}

/** Those that say what its containers can be, as on the agents of the recordings: processes of the machine. */
const flags = ({ options, url }: Agent) => [
  { name: 'containerizers', value: 'mesos' },
  { name: 'hostname', value: options.hostname },
  { name: 'isolation', value: 'posix/cpu,posix/mem,filesystem/posix' },
  { name: 'launcher', value: 'posix' },
  { name: 'port', value: new URL(url).port },
  { name: 'work_dir', value: options.workDir },
];

function state(agent: Agent) {
  const { hostname, resources, attributes } = agent.options;
  const frameworks = [...agent.frameworks].map(([id, info]) => ({
    id,
    name: info.name,
    user: info.user,
    failover_timeout: info.failover_timeout ?? 0,
    checkpoint: info.checkpoint ?? false,
    executors: executorsOf(agent)
      .filter((executor) => executor.frameworkId === id)
      .map((executor) => ({
        id: executor.id,
        name: executor.info.name ?? '',
        container: executor.containerId,
        directory: executor.directory,
        resources: flat(executor.info.resources ?? []),
        tasks: [...executor.tasks.values()].map(({ task }) => shownTask(task)),
      })),
    completed_executors: [],
  }));
  return {
    version,
    id: agent.id,
    hostname,
    pid: `slave(1)@${agent.url.replace('http://', '')}`,
    resources: flat(resources),
    attributes: Object.fromEntries(
      attributes.map(({ name, text, scalar }) => [name, text?.value ?? scalar?.value ?? '']),
    ),
    frameworks,
    completed_frameworks: [],
  };
}

async function handleOperator(agent: Agent, request: Request, who: Principal | undefined): Promise<void> {
  if (request.records) return handleInput(agent.containers, request);
  const { call } = readCall(request, agentCall);
  if (!('type' in call)) throw new HttpAnswer(400, "Failed to validate agent::Call: Expecting 'type' to be present");
  if (await handleContainers(agent.containers, call, request, who)) return;
  const contentType = negotiate(request.headers.accept);
  answerMessage(request.response, agentResponse, await ask(agent, call), contentType);
}

async function ask(agent: Agent, call: Call): Promise<Response> {
  const { type } = call;
  switch (type) {
    case 'GET_HEALTH':
      return { type, get_health: { healthy: true } };
    case 'GET_VERSION':
      return { type, get_version: { version_info: { version } } };
    case 'GET_LOGGING_LEVEL':
      return { type, get_logging_level: { level: 0 } };
    case 'GET_AGENT':
      return { type, get_agent: { agent_info: agent.info, ...(agent.drain ? { drain_config: agent.drain } : {}) } };
    case 'GET_FRAMEWORKS':
      return {
        type,
        get_frameworks: { frameworks: [...agent.frameworks.values()].map((f) => ({ framework_info: f })) },
      };
    case 'GET_EXECUTORS':
      return { type, get_executors: { executors: executorsOf(agent).map(({ info }) => ({ executor_info: info })) } };
    case 'GET_TASKS':
      return { type, get_tasks: tasks(agent) };
    case 'GET_STATE':
      return {
        type,
        get_state: {
          get_tasks: tasks(agent),
          get_executors: { executors: executorsOf(agent).map(({ info }) => ({ executor_info: info })) },
          get_frameworks: { frameworks: [...agent.frameworks.values()].map((f) => ({ framework_info: f })) },
        },
      };
    case 'GET_CONTAINERS': {
      const { show_nested: nested = false, show_standalone: standalone = false } = call.get_containers ?? {};
      const containers = [
        ...executorsOf(agent).map(containerOf),
        ...(nested ? executorsOf(agent).flatMap((executor) => executor.nested) : []),
        ...agent.containers.list({ nested, standalone }),
      ];
      return { type, get_containers: { containers } };
    }
    case 'GET_FLAGS':
      return { type, get_flags: { flags: flags(agent) } };
    case 'LIST_FILES': {
      const infos = await browse(agent, call.list_files.path);
      const file_infos = infos.map((one) => ({ path: one.path, nlink: one.nlink, size: BigInt(one.size) }));
      return { type, list_files: { file_infos } };
    }
    case 'READ_FILE': {
      const { path, offset, length } = call.read_file;
      const { size, data } = await readPart(
        agent,
        path,
        Number(offset),
        length === undefined ? undefined : Number(length),
      );
      return { type, read_file: { size: BigInt(size), data } };
    }
    default:
      throw new HttpAnswer(501, `The devcluster does not emulate ${type}`);
  }
}

function tasks(agent: Agent) {
  const all = executorsOf(agent).flatMap((executor) => [...executor.tasks.values()].map(({ task }) => task));
  return {
    launched_tasks: all.filter((task) => !isTerminal(task.state)),
    terminated_tasks: all.filter((task) => isTerminal(task.state)),
  };
}

async function handleFiles(agent: Agent, verb: string, { query, response }: Request): Promise<void> {
  const path = query.get('path');
  if (verb.startsWith('debug')) return answerJson(response, { '/slave(1)': agent.options.workDir });
  if (path === null) throw new HttpAnswer(400, "Expecting 'path=value' in query.\n");
  if (verb.startsWith('browse')) return answerJson(response, await browse(agent, path));
  if (verb.startsWith('read')) {
    const offset = Number(query.get('offset') ?? -1);
    const length = query.get('length');
    // An offset of -1 asks how long the file is.
    const { size, data } = await readPart(
      agent,
      path,
      Math.max(0, offset),
      offset < 0 ? 0 : length === null ? undefined : Number(length),
    );
    return answerJson(response, { data: data.toString(), offset: offset < 0 ? size : offset });
  }
  if (verb.startsWith('download')) {
    const { data } = await readPart(agent, path, 0, Infinity);
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': data.length }).end(data);
    return;
  }
  throw new HttpAnswer(404, '404 Not Found.');
}

/** Only what lies in the agent's own directory, whatever links say. */
async function inside(agent: Agent, path: string): Promise<string> {
  try {
    const root = await realpath(agent.options.workDir);
    const real = await realpath(path);
    if (real === root || real.startsWith(root + sep)) return real;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  throw new HttpAnswer(404);
}

async function browse(agent: Agent, path: string) {
  const real = await inside(agent, path);
  const names = await readdir(real);
  return Promise.all(
    names.sort().map(async (name) => {
      const { nlink, size, mtimeMs, mode, uid, gid } = await stat(join(real, name));
      return {
        path: join(path, name),
        nlink,
        size,
        mtime: Math.floor(mtimeMs / 1000),
        mode: mode.toString(8),
        uid,
        gid,
      };
    }),
  );
}

const maxPart = 16 * 1024 * 1024;

async function readPart(
  agent: Agent,
  path: string,
  offset: number,
  length = Infinity,
): Promise<{ size: number; data: Buffer }> {
  const file = await open(await inside(agent, path));
  try {
    const { size } = await file.stat();
    const data = Buffer.alloc(Math.max(0, Math.min(length, size - offset, maxPart)));
    const { bytesRead } = await file.read(data, 0, data.length, offset);
    return { size, data: data.subarray(0, bytesRead) };
  } finally {
    await file.close();
  }
}
