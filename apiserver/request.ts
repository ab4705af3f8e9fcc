/** What a URL path under /api or /apis asks for. */
export interface ResourcePath {
  group: string;
  version: string;
  namespace: string;
  resource: string;
  name: string;
  subresource: string;
  rest: string;
  /** The old form `/api/v1/watch/…`. */
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
  if (watch) rest = rest.slice(1);
  let namespace = '';
  if (rest[0] === 'namespaces' && rest.length > 2 && !['status', 'finalize'].includes(rest[2]!)) {
    namespace = rest[1]!;
    rest = rest.slice(2);
  }
  const [resource = '', name = '', subresource = '', ...tail] = rest;
  return { group, version, namespace, resource, name, subresource, rest: tail.join('/'), watch };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}
