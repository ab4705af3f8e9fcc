import { createHash } from 'node:crypto';
import type { Aggregator, Remote } from './aggregation/aggregator.ts';
import type { Incoming } from './dispatch.ts';
import { unknownPath } from './dispatch.ts';
import type { KindTable } from './kinds.ts';
import { notAcceptable } from './negotiate.ts';
import { documentV2, documentV3, type Json } from './openapi/documents.ts';
import { encodeGnostic } from './openapi/gnostic.ts';
import { convertedV3 } from './openapi/convert.ts';
import { mergedV2, type Addition } from './openapi/merge.ts';
import { jsonBody, send, type RawRequest, type RawResponse } from './respond.ts';

interface Document {
  contentType: string;
  bytes: Buffer;
  hash: string;
}

/** What clients ask for; its answer is named with a dot, because "@" may not stand in a media type. */
const gnosticV2 = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
const gnosticType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const year = 31_536_000;

/**
 * `/openapi/v2` (JSON and gnostic protobuf) and `/openapi/v3`: made when first asked for, then kept. What other servers serve is
 * in the first and in the index of the second; their documents are asked of them, where they have some.
 */
export class OpenApi {
  readonly #kinds: KindTable;
  readonly #aggregator: Aggregator;
  readonly #made = new Map<string, Document>();
  /** The state of the kinds that the documents were made of. */
  #generation = '';

  constructor(kinds: KindTable, aggregator: Aggregator) {
    this.#kinds = kinds;
    this.#aggregator = aggregator;
  }

  async serve(path: string, { headers, query }: Incoming, request: RawRequest, response: RawResponse): Promise<void> {
    const accept = String(headers.accept ?? '*/*');
    if (path === '/openapi/v2') return this.#send(this.#v2(accept), headers, request, response, {});
    if (path === '/openapi/v3' || path === '/openapi/v3/')
      return send(request, response, 200, jsonBody({ paths: this.#index() }), {});
    const document = this.#v3(path.slice('/openapi/v3/'.length));
    if (!document) throw unknownPath();
    if (!/application\/json|\*\/\*|application\/\*/.test(accept)) throw notAcceptable();
    const isHashed = query.get('hash') === document.hash;
    return this.#send(
      document,
      headers,
      request,
      response,
      isHashed ? { 'cache-control': `public, immutable, max-age=${year}` } : {},
    );
  }

  async #send(
    { contentType, bytes, hash }: Document,
    headers: Incoming['headers'],
    request: RawRequest,
    response: RawResponse,
    more: Record<string, string>,
  ): Promise<void> {
    const etag = `"${hash}"`;
    const common = { ...more, etag, vary: 'Accept' };
    if (headers['if-none-match'] === etag)
      return send(request, response, 304, { contentType, chunks: [], length: 0 }, common);
    return send(request, response, 200, { contentType, chunks: [bytes], length: bytes.length }, common);
  }

  #v2(accept: string): Document {
    const first = accept.split(',').map((clause) => clause.split(';')[0]!.trim());
    for (const type of first) {
      if (type === gnosticV2 || type === gnosticType)
        return this.#make('v2 gnostic', gnosticType, () => encodeGnostic(this.#documentV2()));
      if (type === 'application/json' || type === '*/*' || type === 'application/*')
        return this.#make('v2', 'application/json', () => Buffer.from(JSON.stringify(this.#documentV2())));
    }
    throw notAcceptable();
  }

  #documentV2(): Json {
    return mergedV2(documentV2(this.#kinds.all), this.#additions());
  }

  #additions(): Addition[] {
    return this.#remotes().flatMap(({ group, version, described }) => {
      const document = described?.v2?.document;
      return document ? [{ group, version, document }] : [];
    });
  }

  #remotes(): Remote[] {
    return this.#aggregator.remotes.filter(({ isAvailable }) => isAvailable);
  }

  #v3(path: string): Document | undefined {
    const parts = path.split('/');
    const [root, group = '', version = ''] = parts[0] === 'api' ? ['api', '', parts[1]] : parts;
    const kinds = root === 'api' || root === 'apis' ? this.#kinds.of(group, version) : [];
    if (parts.length > 3) return undefined;
    if (kinds.length === 0) {
      const other = this.#additions().find((one) => one.group === group && one.version === version);
      return other && this.#make(path, 'application/json', () => Buffer.from(JSON.stringify(convertedV3(other))));
    }
    return this.#make(path, 'application/json', () => Buffer.from(JSON.stringify(documentV3(kinds, path))));
  }

  #index(): Record<string, { serverRelativeURL: string }> {
    const own = this.#kinds.groups.flatMap(({ group, versions }) =>
      versions.map((version) => {
        const path = group ? `apis/${group}/${version}` : `api/${version}`;
        return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${this.#v3(path)!.hash}` }] as const;
      }),
    );
    const others = this.#remotes().flatMap(({ group, version, described }) => {
      const path = `apis/${group}/${version}`;
      const made = described?.v3 ? undefined : this.#v3(path);
      const url = made ? `/openapi/v3/${path}?hash=${made.hash}` : described?.v3;
      return url ? [[path, { serverRelativeURL: url }] as const] : [];
    });
    return Object.fromEntries([...own, ...others]);
  }

  #make(key: string, contentType: string, build: () => Buffer): Document {
    const generation = `${this.#kinds.generation}/${this.#aggregator.generation}`;
    if (this.#generation !== generation) {
      this.#made.clear();
      this.#generation = generation;
    }
    const known = this.#made.get(key);
    if (known) return known;
    const bytes = build();
    const hash = createHash('sha512').update(bytes).digest('hex').toUpperCase();
    const document = { contentType, bytes, hash };
    this.#made.set(key, document);
    return document;
  }
}
