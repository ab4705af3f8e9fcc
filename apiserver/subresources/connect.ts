import type { KubeObject } from '../../api/meta.ts';
import { type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { writeOptions } from '../write-options.ts';

const kinds: Readonly<Record<string, string>> = {
  exec: 'PodExecOptions',
  attach: 'PodAttachOptions',
  portforward: 'PodPortForwardOptions',
};

/** Asks admission whether a connection may be made; what it sees are the options of the connection. Logs are only read. */
export async function admitConnection(registry: Registry, call: Call): Promise<void> {
  const { kind, name, namespace, subresource, query } = call;
  if (subresource === 'log') return;
  const object: KubeObject & Record<string, unknown> = {
    kind: kinds[subresource] ?? `${kind.kind}ProxyOptions`,
    apiVersion: 'v1',
    metadata: { name, ...(namespace ? { namespace } : {}) },
  };
  for (const flag of ['stdin', 'stdout', 'stderr', 'tty'])
    if (query.has(flag)) object[flag] = query.get(flag) === 'true';
  if (query.has('container')) object['container'] = query.get('container');
  if (query.has('command')) object['command'] = query.getAll('command');
  if (call.rest) object['path'] = call.rest.slice(1);
  await registry.admit('connect', kind, object, writeOptions(call));
}
