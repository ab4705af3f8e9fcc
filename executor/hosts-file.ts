import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, Pod } from '../api/kinds/pod.ts';
import { holds, writePlain } from './plain-file.ts';
import type { ContainerSpec, Runtime } from './runtime.ts';
import { type SandboxFacts, fullName, hostnameOf } from './sandbox.ts';

const path = '/etc/hosts';
const usual = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'fe00::0\tip6-mcastprefix',
  'fe00::1\tip6-allnodes',
  'fe00::2\tip6-allrouters',
];

/** The text of a pod's /etc/hosts; `host` is the machine's, for pods on its network. */
export function hostsText(pod: Pod, ips: readonly string[], facts: SandboxFacts, host: string | undefined): string {
  const name = hostnameOf(pod);
  const full = fullName(pod, facts);
  const own =
    host === undefined
      ? [
          '# Kubernetes-managed hosts file.',
          ...usual,
          ...ips.map((ip) => [ip, ...(full === undefined ? [] : [full]), name].join('\t')),
        ]
      : ['# Kubernetes-managed hosts file (host network).', host.trimEnd()];
  const aliases = (pod.spec.hostAliases ?? []).map(({ ip: address, hostnames = [] }) =>
    [address, ...hostnames].join('\t'),
  );
  return [...own, ...(aliases.length > 0 ? ['', '# Entries added by HostAliases.', ...aliases] : []), ''].join('\n');
}

/**
 * /etc/hosts of a container, unless it mounts one of its own. Where containers share the machine's files it is needed only for
 * the names that the pod adds. Containers write to it, too: however much is in it, it is not read further than it should be.
 */
export async function hostsMount(
  pod: Pod,
  container: Container,
  ips: readonly string[],
  directory: string,
  facts: SandboxFacts,
  { isolates }: Runtime,
): Promise<ContainerSpec['mounts']> {
  if (container.volumeMounts?.some(({ mountPath }) => mountPath === path)) return [];
  if (!isolates && !pod.spec.hostAliases?.length) return [];
  const shares = !isolates || pod.spec.hostNetwork === true;
  const text = hostsText(
    pod,
    ips,
    facts,
    shares ? await readFile(path, 'utf8').catch(() => usual.join('\n')) : undefined,
  );
  const hostPath = join(directory, 'etc-hosts');
  const data = Buffer.from(text);
  if (!(await holds(hostPath, data))) await writePlain(hostPath, data, 0o644);
  const readOnly = container.securityContext?.readOnlyRootFilesystem ?? false;
  return [{ hostPath, containerPath: path, readOnly, isOwn: true }];
}
