/** Annotation and label names of km itself; the prefix is the first km's, so that its users' manifests go on working. */
export const prefix = 'k8s.mesosphere.io/';

/**
 * Annotation of a Pod, `true`: it may run on what Mesos takes back at any time. Label of a Node, `true`: it has only such
 * cores.
 */
export const revocable = `${prefix}revocable`;

/** Label of a Pod: whether ports without a host port get one of those that Mesos offers (api/host-ports.ts). */
export const portMapping = `${prefix}portMapping`;

/** Driver of PersistentVolumes that Mesos keeps on an agent's disk; the volume's handle is its persistence id. */
export const mesosVolumeDriver = 'mesos.k8s.mesosphere.io';

export const annotations = {
  /** On a Pod: the Mesos task that carries it, and where. */
  taskId: `${prefix}taskId`,
  agentId: `${prefix}slaveId`,
  /** On a Namespace: the Mesos role whose resources its pods use. */
  role: `${prefix}role`,
  /** On a Node: cordoned because its machine will be away from then on. */
  maintenance: `${prefix}maintenance`,
  /** On a Node: SHA-256 of the certificate its kubelet server shows, hex; the apiserver trusts no other. */
  kubeletCertificate: `${prefix}kubelet-certificate-sha256`,
} as const;

/** On a pod that a kubelet read from a manifest, and on its mirror in the apiserver; the names are Kubernetes' own. */
export const manifestAnnotations = {
  source: 'kubernetes.io/config.source',
  hash: 'kubernetes.io/config.hash',
  seen: 'kubernetes.io/config.seen',
  mirror: 'kubernetes.io/config.mirror',
} as const;

/** Node label for a Mesos agent attribute. */
export const attributeLabel = (name: string): string => `${prefix}attribute-${name}`;
