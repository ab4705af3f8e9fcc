import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { StatusError } from '../api/status.ts';
import { contentTypes, prefersProtobuf } from './negotiate.ts';
import { valueBody } from './protobuf/bodies.ts';
import type { Rendered } from './render.ts';

export type RawRequest = IncomingMessage | Http2ServerRequest;
export type RawResponse = ServerResponse | Http2ServerResponse;

type Headers = Record<string, string | number | string[]>;

const compress = promisify(gzip);
const gzipFrom = 128 * 1024;
const sliceBytes = 256 * 1024;

/** Sends a whole body: compressed if it is large and the caller likes that, in slices that a slow reader can hold up. */
export async function send(
  request: RawRequest,
  response: RawResponse,
  code: number,
  body: Rendered,
  headers: Headers = {},
): Promise<void> {
  headers['content-type'] = body.contentType;
  headers['cache-control'] ??= 'no-cache, private';
  if (body.length >= gzipFrom && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
    const packed = await compress(Buffer.concat(body.chunks), { level: constants.Z_BEST_SPEED });
    headers['content-encoding'] = 'gzip';
    headers['vary'] = 'Accept-Encoding';
    return sendChunks(request, response, code, headers, [packed], packed.length);
  }
  return sendChunks(request, response, code, headers, body.chunks, body.length);
}

async function sendChunks(
  request: RawRequest,
  response: RawResponse,
  code: number,
  headers: Headers,
  chunks: readonly Buffer[],
  length: number,
): Promise<void> {
  headers['content-length'] = length;
  (response as ServerResponse).writeHead(code, headers);
  if (request.method === 'HEAD') return end(response);
  if (chunks.length === 1 && length <= sliceBytes) return end(response, chunks[0]);
  let waiting: Buffer[] = [];
  let size = 0;
  for (const chunk of chunks) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < sliceBytes) continue;
    if (!writeTo(response, Buffer.concat(waiting, size))) await drained(response);
    if (response.destroyed) return;
    waiting = [];
    size = 0;
  }
  end(response, Buffer.concat(waiting, size));
}

// The two response types agree on everything used here, but not in their overloads.
function writeTo(response: RawResponse, chunk: Buffer): boolean {
  return (response as ServerResponse).write(chunk);
}

function end(response: RawResponse, chunk?: Buffer): void {
  if (chunk) (response as ServerResponse).end(chunk);
  else (response as ServerResponse).end();
}

function drained(response: RawResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}

export function jsonBody(value: unknown, contentType = 'application/json'): Rendered {
  const bytes = Buffer.from(JSON.stringify(value));
  return { contentType, chunks: [bytes], length: bytes.length };
}

function protobufBody(value: { apiVersion: string; kind: string }): Rendered {
  const chunks = valueBody(value);
  return { contentType: contentTypes.protobuf, chunks, length: chunks.reduce((sum, { length }) => sum + length, 0) };
}

export function textBody(text: string, contentType = 'text/plain; charset=utf-8'): Rendered {
  const bytes = Buffer.from(text);
  return { contentType, chunks: [bytes], length: bytes.length };
}

export function sendStatus(
  request: RawRequest,
  response: RawResponse,
  error: StatusError,
  more: Headers = {},
): Promise<void> {
  if (response.headersSent) {
    response.destroy();
    return Promise.resolve();
  }
  const retry = error.status.details?.retryAfterSeconds;
  const headers: Headers = { ...more, ...(retry ? { 'retry-after': String(retry) } : {}) };
  if (error.code === 401) headers['www-authenticate'] = 'Bearer realm="kubernetes"';
  if (error.code === 413) headers['connection'] = 'close';
  if (request.httpVersionMajor === 2) delete headers['connection'];
  const body = prefersProtobuf(request.headers.accept) ? protobufBody(error.status) : jsonBody(error.status);
  return send(request, response, error.code, body, headers);
}
