import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket, createWebSocketStream } from 'ws';
import { StatusError } from '../api/status.ts';
import type { ContainerPath } from './log-requests.ts';
import { isSet } from './log-requests.ts';
import type { Pods } from './pods.ts';
import type { Exec, Runtime } from './runtime.ts';
import type { CommandStreams, Wanted } from './streaming/command-streams.ts';
import { type Ending, exitStatus, failureStatus } from './streaming/exit-status.ts';
import { type Dial, spdyPortForward, websocketPortForward } from './streaming/port-forward.ts';
import { spdyCommand } from './streaming/spdy-command.ts';
import { commandProtocols, websocketCommand } from './streaming/websocket-command.ts';

export interface Upgrade {
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  query: URLSearchParams;
}

const tunnel = 'SPDY/3.1+portforward.k8s.io';
const largestMessage = 64 * 1024 * 1024;

/** exec and attach: the client's streams, whichever way they come, joined to a command of the runtime. */
export async function answerCommand(
  { pods, runtime }: { pods: Pods; runtime: Runtime },
  verb: 'exec' | 'attach',
  { namespace, pod: name, container }: ContainerPath,
  upgrade: Upgrade,
): Promise<void> {
  const { query } = upgrade;
  const pod = pods.find(namespace, name);
  const found = pod && (await pods.container(pod.metadata.uid!, container));
  if (found?.state !== 'running')
    throw new StatusError(
      pod ? 400 : 404,
      pod ? 'BadRequest' : 'NotFound',
      `container "${container}" of pod "${name}" is not running here`,
    );
  const wanted: Wanted = {
    stdin: asks(query, 'input', 'stdin'),
    stdout: asks(query, 'output', 'stdout'),
    stderr: asks(query, 'error', 'stderr'),
    tty: isSet(query, 'tty'),
  };
  const command = query.getAll('command');
  if (verb === 'exec' && command.length === 0)
    throw new StatusError(400, 'BadRequest', 'you must specify a command for the container');
  if (!wanted.stdin && !wanted.stdout && !wanted.stderr)
    throw new StatusError(400, 'BadRequest', 'you must specify at least one of stdin, stdout, stderr');
  const streams = await commandStreams(upgrade, wanted);
  const io = { stdin: streams.stdin, stdout: streams.stdout, stderr: streams.stderr, tty: wanted.tty };
  await run(streams, () =>
    verb === 'exec' ? runtime.exec(found.id, { command, ...io }) : runtime.attach(found.id, io),
  );
}

async function run(streams: CommandStreams, open: () => Promise<Exec>): Promise<void> {
  let ending: Ending;
  try {
    const exec = await open();
    streams.onResize((columns, rows) => exec.resize(columns, rows));
    void streams.closed.then(() => exec.kill());
    ending = exitStatus(await exec.done);
  } catch (error) {
    ending = failureStatus((error as Error).message);
  }
  await streams.finish(ending);
}

export async function answerPortForward(
  { pods, runtime }: { pods: Pods; runtime: Runtime },
  namespace: string,
  name: string,
  upgrade: Upgrade,
): Promise<void> {
  const pod = pods.find(namespace, name);
  const sandbox = pod && (await pods.sandbox(pod.metadata.uid!));
  if (!sandbox?.ready) throw new StatusError(404, 'NotFound', `pod "${name}" is not running here`);
  const dial: Dial = (port) => runtime.connect(sandbox.id, port);
  if (!isWebSocket(upgrade.request)) {
    acceptSpdy(upgrade, ['portforward.k8s.io']);
    return spdyPortForward(upgrade.socket, dial);
  }
  const socket = await acceptWebSocket(upgrade, [tunnel, 'v4.channel.k8s.io']);
  if (socket.protocol === tunnel) return spdyPortForward(createWebSocketStream(socket), dial);
  const ports = upgrade.query
    .getAll('ports')
    .concat(upgrade.query.getAll('port'))
    .flatMap((text) => text.split(','))
    .map(Number);
  websocketPortForward(socket, ports, dial);
}

async function commandStreams(upgrade: Upgrade, wanted: Wanted): Promise<CommandStreams> {
  if (isWebSocket(upgrade.request)) return websocketCommand(await acceptWebSocket(upgrade, commandProtocols), wanted);
  acceptSpdy(upgrade, ['v4.channel.k8s.io']);
  return spdyCommand(upgrade.socket, wanted);
}

/** The kubelet's names of the streams, and the API's. */
const asks = (query: URLSearchParams, ...names: string[]): boolean => names.some((name) => isSet(query, name));

const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket';

function acceptWebSocket({ request, socket, head }: Upgrade, protocols: readonly string[]): Promise<WebSocket> {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const chosen = protocols.find((name) => offered.includes(name));
  if (!chosen)
    throw new StatusError(403, 'Forbidden', `none of the sub-protocols is known here: ${offered.join(', ')}`);
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: () => chosen,
    maxPayload: largestMessage,
    perMessageDeflate: false,
  });
  return new Promise((resolve) => server.handleUpgrade(request, socket, head, resolve));
}

function acceptSpdy({ request, socket, head }: Upgrade, protocols: readonly string[]): void {
  if (request.headers.upgrade?.toLowerCase() !== 'spdy/3.1')
    throw new StatusError(400, 'BadRequest', 'you must upgrade to SPDY/3.1 or WebSocket');
  const offered = [request.headers['x-stream-protocol-version'] ?? []]
    .flat()
    .flatMap((names) => names.split(',').map((n) => n.trim()));
  const chosen = protocols.find((name) => offered.includes(name)) ?? (offered.length === 0 ? protocols[0] : undefined);
  if (!chosen)
    throw new StatusError(403, 'Forbidden', `none of the stream protocols is known here: ${offered.join(', ')}`);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${chosen}\r\n\r\n`,
  );
  if (head.length > 0) socket.unshift(head);
}
