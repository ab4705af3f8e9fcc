import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer, request } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { MesosRuntime } from '../../executor/runtimes/mesos.ts';
import { silent } from '../../lib/log.ts';
import { agentCall } from '../../mesos/codec.ts';
import { askAgent } from '../../mesos/operator.ts';
import { RecordDecoder } from '../../mesos/recordio.ts';
import type { ContainerID } from '../../mesos/types.ts';
import { Framework, cluster, endAll, executor, task } from '../devcluster/builders.ts';

/** An agent of a development Mesos with an executor, below which containers can be nested. */
export interface MesosAgentForTests {
  url: string;
  /** Of the executor. */
  containerId: string;
  sandbox: string;
  framework: Framework;
  /** `url`: where the agent answers, unless it is told directly. */
  open(root: string, more?: { containerId?: string; url?: string }): Promise<MesosRuntime>;
  /** Those nested below the executor's, `<parent>.<id>`; and what is left of their sandboxes. */
  nested(): Promise<string[]>;
  sandboxes(): string[];
  /** Of the executor itself. */
  pid: number;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

interface Guard {
  url: string;
  close(): void;
}

/** Stands before an agent; `judge` has each request. */
async function standing(judge: (asked: IncomingMessage, answered: ServerResponse) => Promise<void>): Promise<Guard> {
  const server = createServer((request, response) => void judge(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

/** The request goes to the agent at `url` with these bytes. */
function forward(url: string, asked: IncomingMessage, bytes: Buffer, then: (answer: IncomingMessage) => void) {
  const { 'transfer-encoding': _chunked, ...headers } = asked.headers;
  const options = { method: 'POST', headers: { ...headers, 'content-length': String(bytes.length) } };
  const forwarded = request(`${url}${asked.url}`, options, then);
  forwarded.end(bytes);
  return forwarded;
}

/** As its ACLs do: an executor's token shows neither flags nor containers, and attaches no input. */
export const beforeAgent = (url: string): Promise<Guard> =>
  standing(async (asked, answered) => {
    if (isInput(asked)) return void answered.writeHead(403).end();
    const body = await buffer(asked);
    const { type } = agentCall.decode(body, protobuf);
    if (type === 'GET_FLAGS') return void answered.writeHead(403).end();
    // Nothing nested.
    const bytes = type === 'GET_CONTAINERS' ? agentCall.encode({ type, get_containers: {} }, protobuf) : body;
    const forwarded = forward(url, asked, bytes, (answer) => {
      answered.writeHead(answer.statusCode ?? 500, answer.headers).flushHeaders();
      answer.pipe(answered);
    });
    forwarded.on('error', () => answered.destroy());
    answered.on('close', () => forwarded.destroy());
  });

/** As a slow line does: input comes when its command has ended, and the end of that is told after it. */
export async function slowlyBeforeAgent(url: string): Promise<Guard & { answers: number[] }> {
  const answers: number[] = [];
  const { promise: told, resolve } = Promise.withResolvers<void>();
  const guard = await standing(async (asked, answered) => {
    const body = isInput(asked) ? await firstOf(asked) : await buffer(asked);
    const call = agentCall.decode(isInput(asked) ? recordIn(body) : body, protobuf);
    if (call.type === 'ATTACH_CONTAINER_INPUT') await untilEnded(url, call.attach_container_input.container_id);
    const isSession = call.type === 'LAUNCH_NESTED_CONTAINER_SESSION';
    forward(url, asked, body, (answer) => {
      answered.writeHead(answer.statusCode ?? 500, answer.headers).flushHeaders();
      answer.pipe(answered, { end: !isSession });
      if (isSession) answer.on('end', () => void told.then(() => answered.end()));
      if (!isInput(asked)) return;
      answers.push(answer.statusCode ?? 0);
      // So that it is heard of first.
      answer.on('end', () => setTimeout(resolve, 100));
    });
  });
  return { ...guard, answers };
}

const protobuf = 'application/x-protobuf';

/** A request that goes on. */
const isInput = ({ headers }: IncomingMessage): boolean => headers['content-type'] === 'application/recordio';

async function firstOf(asked: IncomingMessage): Promise<Buffer> {
  for await (const chunk of asked.iterator({ destroyOnReturn: false })) return Buffer.from(chunk);
  return Buffer.alloc(0);
}

const recordIn = (chunk: Buffer): Buffer => [...new RecordDecoder().push(chunk)][0] ?? Buffer.alloc(0);

async function untilEnded(url: string, container_id: ContainerID | undefined): Promise<void> {
  if (container_id) await askAgent({ url }, { type: 'WAIT_CONTAINER', wait_container: { container_id } });
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
  const common = { sandbox, pid, nodeIp: '127.0.0.1', log: silent };
  return {
    ...{ url, containerId, sandbox, framework, nested, pid },
    open: (root, more = {}) =>
      MesosRuntime.open({ ...common, containerId, root, ...more, agent: { url: more.url ?? url } }),
    sandboxes: () => readdirSync(join(sandbox, 'containers')),
    restart: () => devcluster.faults.restartAgent(index),
    stop: endAll,
  };
}
