import { Transform } from 'node:stream';
import { createDeflate, createGunzip, createGzip, createInflate } from 'node:zlib';
import { RewritingStream } from 'parse5-html-rewriting-stream';

type Rewrite = (url: string) => string;

/**
 * `/a?b` → `<prefix>/a?b`. Links to other hosts, relative ones, and those that lead here already stay as they are; `hosts`
 * are the names of the server itself.
 */
export function rewriteUrl(url: string, prefix: string, hosts: readonly string[]): string {
  const [, scheme, host, rest] = /^\s*(?:([a-z][a-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^]*)$/i.exec(url)!;
  const isOther = host === undefined ? scheme !== undefined : !hosts.includes(host);
  if (isOther || !rest!.startsWith('/')) return url;
  return rest!.startsWith(prefix) ? rest! : prefix + rest!;
}

/** Attributes that hold a URL, by element. */
const links: Readonly<Record<string, readonly string[]>> = {
  a: ['href'],
  applet: ['codebase'],
  area: ['href'],
  audio: ['src'],
  base: ['href'],
  blockquote: ['cite'],
  body: ['background'],
  button: ['formaction'],
  command: ['icon'],
  del: ['cite'],
  embed: ['src'],
  form: ['action'],
  frame: ['longdesc', 'src'],
  head: ['profile'],
  html: ['manifest'],
  iframe: ['longdesc', 'src'],
  img: ['longdesc', 'src', 'usemap'],
  input: ['formaction', 'src', 'usemap'],
  ins: ['cite'],
  link: ['href'],
  object: ['classid', 'codebase', 'data', 'usemap'],
  q: ['cite'],
  script: ['src'],
  source: ['src'],
  video: ['poster', 'src'],
};

/** The streams that a page passes through so that its links lead here; none where the answer is no page that can be read. */
export function rewriteHtml(headers: Readonly<Record<string, string | string[]>>, rewrite: Rewrite): Transform[] {
  const [type, ...parameters] = String(headers['content-type'] ?? '')
    .toLowerCase()
    .split(';');
  if (type!.trim() !== 'text/html') return [];
  const charset = /charset=["']?([^"';\s]+)/.exec(parameters.join(';'))?.[1];
  if (charset && !['utf-8', 'utf8', 'us-ascii'].includes(charset)) return [];
  const decoding = new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) });
  decoding.setEncoding('utf8');
  const page = [decoding, htmlStream(rewrite)];
  switch (headers['content-encoding'] ?? 'identity') {
    case 'identity':
      return page;
    case 'gzip':
      return [createGunzip(), ...page, createGzip()];
    case 'deflate':
      return [createInflate(), ...page, createDeflate()];
    default:
      return [];
  }
}

function htmlStream(rewrite: Rewrite): RewritingStream {
  const stream = new RewritingStream();
  stream.on('startTag', (tag, raw) => {
    let isChanged = false;
    for (const attribute of tag.attrs) {
      if (!links[tag.tagName]?.includes(attribute.name)) continue;
      const url = rewrite(attribute.value);
      isChanged ||= url !== attribute.value;
      attribute.value = url;
    }
    if (isChanged) stream.emitStartTag(tag);
    else stream.emitRaw(raw);
  });
  return stream;
}
