import type { RawRequest } from '../respond.ts';

export type Headers = Record<string, string | string[]>;
type Given = Readonly<Record<string, string | string[] | undefined>>;

/** Of one hop; `expect` has been answered when the body comes. */
const ofOneHop = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|http2-settings|:.*)$/i;
/** The caller's credentials, and those by which somebody could claim to be somebody else. */
const ofTheCaller = /^(host|authorization|x-remote-.*|impersonate-.*)$/i;
/** What this server says of other origins is its own. */
const ofTheOrigin = /^access-control-/i;

function without(headers: Given, ...dropped: readonly RegExp[]): Headers {
  const named = String(headers['connection'] ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  const out: Headers = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !named.includes(name) && !dropped.some((pattern) => pattern.test(name)))
      out[name] = value;
  return out;
}

/** The caller's headers as the server behind reads them, with where the request comes from. */
export function passedOn({ headers, socket }: RawRequest): Headers {
  const before = headers['x-forwarded-for'];
  const from = [...(before === undefined ? [] : [before].flat()), socket.remoteAddress ?? ''].filter(Boolean);
  return { ...without(headers, ofOneHop, ofTheCaller), 'x-forwarded-for': from.join(', ') };
}

export const passedBack = (headers: Given): Headers => without(headers, ofOneHop, ofTheOrigin);

/** A request says in its headers that a body comes; over HTTP/2 its last frame says that none did. */
export function hasBody(request: RawRequest): boolean {
  if (request.readableEnded) return false;
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  if (length !== undefined) return Number(length) > 0;
  return coding !== undefined || ('stream' in request && !request.stream.endAfterHeaders);
}
