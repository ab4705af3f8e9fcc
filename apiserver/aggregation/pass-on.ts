import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { request as ask } from 'undici';
import { StatusError } from '../../api/status.ts';
import type { User } from '../auth/user.ts';
import type { RawRequest, RawResponse } from '../respond.ts';
import type { Aggregator, Remote } from './aggregator.ts';
import { identityHeaders } from './identity.ts';

/** Headers of one hop, and those by which somebody could claim to be somebody else. */
const dropped =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|host|authorization|content-length|x-remote-.*|impersonate-.*|http2-settings|:.*)$/i;

const kept = (headers: Record<string, string | string[] | undefined>): [string, string | string[]][] =>
  Object.entries(headers).filter(
    (header): header is [string, string | string[]] => header[1] !== undefined && !dropped.test(header[0]),
  );

const unavailable = (message: string): StatusError =>
  new StatusError(503, 'ServiceUnavailable', message, { retryAfterSeconds: 1 });

/** Passes a request on to the server of its group version, who asks in headers, and that server's answer back as it comes. */
export async function passOn(
  aggregator: Aggregator,
  { remote, user }: { remote: Remote; user: User },
  request: RawRequest,
  response: RawResponse,
  body: Buffer,
  signal: AbortSignal,
): Promise<void> {
  if (!remote.isAvailable) throw unavailable('the server is currently unable to handle the request');
  let answer: Awaited<ReturnType<typeof ask>>;
  try {
    const { origin, dispatcher } = aggregator.upstream(remote.service);
    answer = await ask(`${origin}${request.url}`, {
      method: request.method as 'GET',
      headers: { ...Object.fromEntries(kept(request.headers)), ...identityHeaders(user) },
      ...(body.length > 0 ? { body } : {}),
      dispatcher,
      signal,
    });
  } catch (error) {
    if (signal.aborted) return;
    throw unavailable(`error trying to reach service: ${(error as Error).message}`);
  }
  const raw = response as ServerResponse;
  raw.writeHead(answer.statusCode, Object.fromEntries(kept(answer.headers)));
  raw.flushHeaders();
  await pipeline(answer.body, raw).catch(() => raw.destroy());
}
