import { connect } from 'node:net';
import type { Probe } from '../../api/kinds/pod.ts';
import { expand } from '../env.ts';
import type { Runtime } from '../runtime.ts';
import { grpcHealth } from './grpc-health.ts';
import { type HandlerPlace, hostPort, portOf } from './handler-place.ts';
import { httpGet } from './http-get.ts';
import type { Result } from './tally.ts';

export interface Check {
  result: Result;
  /** Words for the user: a command's output, a status, an error of the connection. */
  output: string;
  /** It counts as a success, but is worth telling. */
  warning?: boolean;
}

const agent = 'kube-probe/1.36';
const longestOutput = 10 * 1024;

/** Asks a container once, within the time its probe gives. Rejects only when it could not be asked at all. */
export async function check(probe: Probe, place: HandlerPlace, runtime: Runtime, signal: AbortSignal): Promise<Check> {
  const ms = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.exec) return checkCommand(probe.exec.command ?? [], place, runtime, ms, signal);
  const late = AbortSignal.timeout(ms);
  try {
    return await checkNetwork(probe, place, AbortSignal.any([signal, late]));
  } catch (error) {
    signal.throwIfAborted();
    return { result: 'failure', output: late.aborted ? `no answer within ${ms / 1000}s` : (error as Error).message };
  }
}

async function checkCommand(
  command: readonly string[],
  { container, containerId }: HandlerPlace,
  runtime: Runtime,
  ms: number,
  signal: AbortSignal,
): Promise<Check> {
  const env = new Map((container.env ?? []).map(({ name, value }) => [name, value]));
  const words = command.map((text) => expand(text, (name) => env.get(name)));
  const done = await runtime.run(containerId, words, ms, signal);
  if (done === 'late')
    return { result: 'failure', output: `command timed out: ${words.join(' ')} timed out after ${ms / 1000}s` };
  return { result: done.exitCode === 0 ? 'success' : 'failure', output: done.output.slice(0, longestOutput) };
}

async function checkNetwork(probe: Probe, place: HandlerPlace, signal: AbortSignal): Promise<Check> {
  if (probe.httpGet) {
    const { code, body, elsewhere } = await httpGet(probe.httpGet, place, agent, signal);
    if (elsewhere !== undefined)
      return { result: 'success', output: `Probe terminated redirects, Response body: ${body}`, warning: true };
    if (code >= 200 && code < 400) return { result: 'success', output: body };
    return { result: 'failure', output: `HTTP probe failed with statuscode: ${code}` };
  }
  if (probe.tcpSocket) {
    await reach(probe.tcpSocket.host || place.podIp, portOf(place.container, probe.tcpSocket.port), signal);
    return { result: 'success', output: '' };
  }
  if (probe.grpc) {
    const { port, service = '' } = probe.grpc;
    const state = await grpcHealth(hostPort(place.podIp, port), service, signal);
    if (state === 'SERVING') return { result: 'success', output: 'service healthy' };
    return { result: 'failure', output: `service unhealthy (responded with "${state}")` };
  }
  throw new Error('the probe has no handler');
}

const reach = (host: string, port: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', (error) =>
      reject(new Error(`dial tcp ${hostPort(host, port)}: ${error.message}`, { cause: error })),
    );
  });
