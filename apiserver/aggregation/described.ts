import { createHash } from 'node:crypto';
import { convertedV3 } from '../openapi/convert.ts';

/** What the server behind a group version says of it in OpenAPI. */
export interface Described {
  /** Where its document of version 3 is, `/openapi/v3/apis/…`, with a hash where it has one; undefined when it has none. */
  v3: string | undefined;
  /** Its Swagger 2.0, of all that it serves. */
  v2: { tag: string; document: Readonly<Record<string, unknown>> } | undefined;
  /** When it was asked, milliseconds. */
  at: number;
}

/** GET of a path; undefined where nothing has changed since `tag`. Throws when there is nothing. */
export type Fetch = (path: string, tag?: string) => Promise<{ text: string; tag: string | undefined } | undefined>;

/** Asks for what is described; a server that describes nothing is as good as any other. */
export async function describe(group: string, version: string, fetch: Fetch, known?: Described): Promise<Described> {
  const [v3, v2] = await Promise.all([
    indexOf(group, version, fetch).catch(() => undefined),
    swaggerOf(group, version, fetch, known?.v2).catch(() => known?.v2),
  ]);
  return { v3, v2, at: Date.now() };
}

async function indexOf(group: string, version: string, fetch: Fetch): Promise<string | undefined> {
  const answer = await fetch('/openapi/v3');
  const { paths = {} } = JSON.parse(answer!.text) as { paths?: Record<string, { serverRelativeURL?: string }> };
  const path = `apis/${group}/${version}`;
  if (!paths[path]) return undefined;
  const hash = /[?&]hash=([\w-]+)/.exec(paths[path].serverRelativeURL ?? '')?.[1];
  return `/openapi/v3/${path}${hash ? `?hash=${hash}` : ''}`;
}

/** Throws where it is none. */
async function swaggerOf(
  group: string,
  version: string,
  fetch: Fetch,
  known: Described['v2'],
): Promise<Described['v2']> {
  const answer = await fetch('/openapi/v2', known?.tag);
  if (!answer) return known;
  const tag = answer.tag ?? createHash('sha256').update(answer.text).digest('hex');
  if (tag === known?.tag) return known;
  const document = JSON.parse(answer.text) as Record<string, unknown>;
  convertedV3({ group, version, document });
  return { tag, document };
}

export const isSameDescription = (a: Described | undefined, b: Described | undefined): boolean =>
  a?.v3 === b?.v3 && a?.v2 === b?.v2;
