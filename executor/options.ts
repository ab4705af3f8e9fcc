import { type Values, duration, list, number, oneOf, port, text } from '../lib/options.ts';

export const options = {
  runtime: oneOf('What runs containers', ['process', 'cri', 'docker', 'mesos'], 'process'),
  criSocket: text('Socket of the container runtime', 'unix:///run/containerd/containerd.sock', '<socket>'),
  dockerHost: text('Where Docker answers', 'unix:///var/run/docker.sock', '<address>'),
  dockerNetwork: text('Docker’s network that pods are put on', 'bridge', '<name>'),
  podInfraContainerImage: text(
    'With Docker: image of the container that keeps a pod’s network',
    'registry.k8s.io/pause:3.10',
    '<image>',
  ),
  cgroupParent: text(
    'Cgroup, or slice of systemd, below which pods are put; below the executor’s own or in km.slice unless set',
    '',
    '<path>',
  ),
  rootDir: text('Where logs, volumes and records of pods are; beside the Mesos sandbox unless set', '', '<directory>'),
  nodeName: text('Name of the node; that of the Node made for this agent unless set', '', '<name>'),
  nodeIp: list('Address of the node, or one of each family; the one the agent uses unless set', [], '<ip,ip>'),
  bindAddress: text('Address the kubelet’s port listens on; the node’s unless set', '', '<address>'),
  port: port('The kubelet’s port; 0 takes a free one', 0),
  clientNames: list(
    'Common names, beside members of system:masters, whose certificates may use the port',
    [],
    '<name,name>',
  ),
  nodeStatusInterval: duration('How often the node is looked at', 10_000),
  leaseInterval: duration('How often the node’s lease is renewed', 10_000),
  podManifestPath: text('Directory of manifests of static pods, or one manifest', '', '<path>'),
  fileCheckFrequency: duration('How often these are read again; a change is seen at once', 20_000),
  manifestUrl: text('Address of a manifest of static pods', '', '<url>'),
  httpCheckFrequency: duration('How often that is read again', 20_000),
  pluginsRegistry: text(
    'Directory where CSI drivers register; not with processes, none when empty',
    '/var/lib/kubelet/plugins_registry',
    '<directory>',
  ),
  allowedUnsafeSysctls: list('Unsafe sysctls that pods may set: names, or prefixes with a star', [], '<name,name*>'),
  launchGrace: duration('How long a task waits for its pod to be bound', 5 * 60_000),
  idleTimeout: duration('How long an executor without pods stays on its agent; 0: for ever', 20 * 60_000),
  podMaxPids: number('Most processes and threads of a pod; 0: as many as the machine takes', 0),
  clusterDns: list('DNS servers of the cluster, for pods', [], '<ip,ip>'),
  clusterDomain: text('Domain of the cluster, for pods', 'cluster.local', '<domain>'),
} as const;

export type Options = Values<typeof options>;
