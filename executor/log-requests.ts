import { stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { StatusError } from '../api/status.ts';
import { containersOf } from './containers.ts';
import type { LogOptions } from './logs.ts';
import { readLog } from './logs.ts';
import type { Pods } from './pods.ts';

export interface ContainerPath {
  namespace: string;
  pod: string;
  container: string;
}

/** GET /containerLogs/<namespace>/<pod>/<container>?follow&tailLines&sinceSeconds&sinceTime&timestamps&limitBytes&previous */
export async function answerLogs(
  pods: Pods,
  { namespace, pod: name, container }: ContainerPath,
  query: URLSearchParams,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const pod = pods.find(namespace, name);
  if (!pod) throw new StatusError(404, 'NotFound', `pod "${name}" not found on this node`);
  const uid = pod.metadata.uid!;
  const options = logOptions(query);
  const previous = isSet(query, 'previous');
  const found = await pods.container(uid, container, previous);
  const path = found?.logPath;
  if (!path || !(await stat(path).catch(() => undefined))) {
    if (previous) throw badRequest(`previous terminated container "${container}" in pod "${name}" not found`);
    const known = containersOf(pod).some((c) => c.name === container);
    if (!known) throw badRequest(`container ${container} is not valid for pod ${name}`);
    const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
    const statuses = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
    const reason = statuses.find((c) => c.name === container)?.state.waiting?.reason ?? 'ContainerCreating';
    throw badRequest(`container "${container}" in pod "${name}" is waiting to start: ${reason}`);
  }
  response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-cache, no-store' });
  response.flushHeaders();
  const isRunning = async () => {
    const newest = await pods.container(uid, container);
    return newest?.id === found.id && newest.state === 'running';
  };
  for await (const bytes of readLog(path, options, isRunning, signal)) {
    if (signal.aborted) break;
    if (!response.write(bytes)) await drained(response, signal);
  }
  response.end();
}

export function logOptions(query: URLSearchParams, now = Date.now()): LogOptions {
  const tailLines = number(query, 'tailLines', 0);
  const limitBytes = number(query, 'limitBytes', 1);
  const seconds = number(query, 'sinceSeconds', 1);
  const time = query.get('sinceTime');
  if (seconds !== undefined && time) throw badRequest('at most one of sinceTime or sinceSeconds may be specified');
  const since = time ? Date.parse(time) : seconds === undefined ? undefined : now - seconds * 1000;
  if (Number.isNaN(since)) throw badRequest(`sinceTime is no time: ${time!}`);
  const stream = query.get('stream')?.toLowerCase();
  return {
    follow: isSet(query, 'follow'),
    timestamps: isSet(query, 'timestamps'),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(since === undefined ? {} : { since }),
    ...(stream === 'stdout' || stream === 'stderr' ? { stream } : {}),
  };
}

export const isSet = (query: URLSearchParams, name: string): boolean =>
  ['1', 'true', 'True', 'TRUE', 't', 'T'].includes(query.get(name) ?? '');

function number(query: URLSearchParams, name: string, least: number): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw badRequest(`${name} must be a whole number of at least ${least}`);
  return value;
}

const badRequest = (message: string): StatusError => new StatusError(400, 'BadRequest', message);

const drained = (response: ServerResponse, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const go = () => {
      response.off('drain', go);
      signal.removeEventListener('abort', go);
      resolve();
    };
    response.once('drain', go);
    signal.addEventListener('abort', go, { once: true });
  });
