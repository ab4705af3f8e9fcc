import type { ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Dispatcher } from 'undici';
import type { RawRequest, RawResponse } from '../respond.ts';
import { hasBody, passedBack, passedOn } from './headers.ts';
import { rewriteHtml, rewriteUrl } from './rewrite.ts';
import type { Target } from './target.ts';

/** Passes a request on to another server and that server's answer back, each as it comes. */
export async function passOn(
  target: Target,
  request: RawRequest,
  response: RawResponse,
  signal: AbortSignal,
): Promise<void> {
  const { origin, path, dispatcher, prefix } = target;
  let answer: Dispatcher.ResponseData;
  try {
    answer = await dispatcher.request({
      origin,
      path,
      method: request.method as 'GET',
      headers: { ...passedOn(request), ...target.headers },
      body: hasBody(request) ? request : null,
      signal,
    });
  } catch (error) {
    if (signal.aborted) return;
    throw target.unreachable(error as Error);
  }
  const headers = passedBack(answer.headers);
  const rewriters: readonly Transform[] = prefix === undefined ? [] : lead(headers, target, prefix, request);
  const raw = response as ServerResponse;
  raw.writeHead(answer.statusCode, headers);
  raw.flushHeaders();
  // One of the two hung up: the other is closed with it, and there is nobody left to tell.
  await pipeline([answer.body, ...rewriters, raw]).catch(() => raw.destroy());
}

/** Makes an answer lead back here: its redirect at once, its page as it passes. */
function lead(headers: Record<string, string | string[]>, target: Target, prefix: string, request: RawRequest) {
  const here = String(request.headers[':authority'] ?? request.headers.host ?? '');
  const rewrite = (url: string) => rewriteUrl(url, prefix, [new URL(target.origin).host, here]);
  const { location } = headers;
  if (typeof location === 'string') headers['location'] = rewrite(location);
  if (location !== undefined || request.method === 'HEAD') return [];
  const streams = rewriteHtml(headers, rewrite);
  if (streams.length > 0) delete headers['content-length'];
  return streams;
}
