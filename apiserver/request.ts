/** What a URL path under /api or /apis asks for. */
export interface ResourcePath {
  group: string;
  version: string;
  namespace: string;
  resource: string;
  name: string;
  subresource: string;
  /** What follows the subresource; for proxies as it was written, from its first slash. */
  rest: string;
  /** The old form `/api/v1/watch/…`; the old `/api/v1/proxy/…` is read as the subresource that it became. */
  watch: boolean;
}

/** Reads `/api/v1/namespaces/x/pods/y/log`; undefined when the path is not that of a resource. */
export function parseResourcePath(path: string): ResourcePath | undefined {
  const parts = path.split('/').filter((part) => part !== '');
  const core = parts[0] === 'api';
  if (!core && parts[0] !== 'apis') return undefined;
  const group = core ? '' : (parts[1] ?? '');
  const version = parts[core ? 1 : 2];
  let rest = parts.slice(core ? 2 : 3).map(decode);
  if (version === undefined || rest.length === 0) return undefined;
  const watch = rest[0] === 'watch' && rest.length > 1;
  const isOldProxy = core && rest[0] === 'proxy' && rest.length > 2;
  if (watch || isOldProxy) rest = rest.slice(1);
  let namespace = '';
  if (rest[0] === 'namespaces' && rest.length > 2 && !['status', 'finalize'].includes(rest[2]!)) {
    namespace = rest[1]!;
    rest = rest.slice(2);
  }
  if (isOldProxy) rest.splice(2, 0, 'proxy');
  const [resource = '', name = '', subresource = '', ...tail] = rest;
  const read = parts.length - tail.length;
  const after = subresource === 'proxy' ? behind(path, read) : tail.join('/');
  return { group, version, namespace, resource, name, subresource, rest: after, watch };
}

/** What comes behind the first `count` parts of a path. */
const behind = (path: string, count: number): string => path.replace(new RegExp(`^(?:/*[^/]+){${count}}`), '');

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}
