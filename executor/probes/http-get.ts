import type { IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { HttpGet } from '../../api/kinds/pod.ts';
import { request as requestHttp } from '../../lib/http.ts';
import { type HandlerPlace, hostPort, portOf } from './handler-place.ts';

export interface HttpAnswer {
  code: number;
  /** Its beginning. */
  body: string;
  /** Where it was sent on to, when that is another host: nobody follows it there. */
  elsewhere?: string;
}

const longestBody = 10 * 1024;
const mostRedirects = 10;

/** Asks as a kubelet does: certificates are not checked, redirects are followed on the same host. Rejects when there is no answer. */
export async function httpGet(
  action: HttpGet,
  place: HandlerPlace,
  agent: string,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const port = portOf(place.container, action.port);
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const path = action.path || '/';
  let url = new URL(
    `${scheme}://${hostPort(action.host || place.podIp, port)}${path.startsWith('/') ? '' : '/'}${path}`,
  );
  const headers = headersOf(action, agent);
  for (let redirects = 0; ; redirects++) {
    const { answer, body } = await ask(url, headers, signal);
    const code = answer.statusCode ?? 0;
    const { location } = answer.headers;
    if (code < 300 || code > 399 || code === 304 || !location) return { code, body };
    const next = new URL(location, url);
    if (next.hostname !== url.hostname) return { code, body, elsewhere: next.href };
    if (redirects === mostRedirects) throw new Error(`stopped after ${mostRedirects} redirects`);
    url = next;
  }
}

/** A header given empty takes the usual one away. */
function headersOf({ httpHeaders = [] }: HttpGet, agent: string): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'user-agent': agent, accept: '*/*', connection: 'close' };
  for (const name of new Set(httpHeaders.map((header) => header.name.toLowerCase()))) {
    const values = httpHeaders.filter((header) => header.name.toLowerCase() === name).map(({ value }) => value);
    if (values.every((value) => value === '')) delete headers[name];
    else headers[name] = values.length === 1 ? values[0]! : values;
  }
  return headers;
}

function ask(
  url: URL,
  headers: Record<string, string | string[]>,
  signal: AbortSignal,
): Promise<{ answer: IncomingMessage; body: string }> {
  const open = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(new Error(`Get "${url.href}": ${error.message}`, { cause: error }));
    open(url, { headers, agent: false, signal, ...(url.protocol === 'https:' ? { rejectUnauthorized: false } : {}) })
      .on('error', fail)
      .on('response', (answer) => {
        const parts: Buffer[] = [];
        let size = 0;
        const done = () => resolve({ answer, body: Buffer.concat(parts).subarray(0, longestBody).toString('utf8') });
        answer.on('error', fail).on('end', done);
        answer.on('data', (chunk: Buffer) => {
          parts.push(chunk);
          size += chunk.length;
          if (size < longestBody) return;
          done();
          answer.destroy();
        });
      })
      .end();
  });
}
