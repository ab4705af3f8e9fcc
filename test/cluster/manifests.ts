import { busyboxImage } from '../executor/images.ts';

/** A pod of an application, with one container, `main`, and whatever else its spec should say; it ends within a second. */
export const templateOf = (app: string, container: object, { labels = {}, ...spec }: PodParts = {}) => ({
  metadata: { labels: { app, ...labels } },
  spec: {
    terminationGracePeriodSeconds: 1,
    ...spec,
    containers: [{ name: 'main', image: busyboxImage, ...container }],
  },
});

/** So many of those. */
export const deploymentOf = (name: string, replicas: number, container: object, parts: PodParts = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: { replicas, selector: { matchLabels: { app: name } }, template: templateOf(name, container, parts) },
});

/** One on every node. */
export const daemonSetOf = (name: string, container: object, parts: PodParts = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name },
  spec: {
    updateStrategy: { rollingUpdate: { maxUnavailable: '100%' } },
    selector: { matchLabels: { app: name } },
    template: templateOf(name, container, parts),
  },
});

/** `keeper`: pods whose `/data` is a volume of Mesos. */
export const keepersOf = (replicas: number, whenDeleted: 'Retain' | 'Delete', command: string) => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'keeper' },
  spec: {
    ...{ replicas, serviceName: 'keeper', podManagementPolicy: 'Parallel' },
    persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled: 'Retain' },
    selector: { matchLabels: { app: 'keeper' } },
    template: templateOf('keeper', {
      command: ['sh', '-c', command],
      resources: { requests: { cpu: '20m', memory: '16Mi' } },
      volumeMounts: [{ name: 'data', mountPath: '/data' }],
    }),
    volumeClaimTemplates: [
      {
        metadata: { name: 'data' },
        spec: {
          ...{ accessModes: ['ReadWriteOnce'], storageClassName: 'mesos' },
          resources: { requests: { storage: '64Mi' } },
        },
      },
    ],
  },
});

/** A token of the account `default` that does not run out, in the Secret `lasting`. */
export const lastingToken = {
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/service-account-token',
  metadata: {
    name: 'lasting',
    namespace: 'default',
    annotations: { 'kubernetes.io/service-account.name': 'default' },
  },
};

/** What kubectl takes all at once. */
export const listOf = (...items: object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

/** What leads to them. */
export const serviceOf = (name: string, port: object, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: name }, ports: [port], ...spec },
});

/** Says the pod's name by HTTP, on port 8080 of its own unless told. */
export const sayingItsName = (port = '8080') => ({
  command: [
    'sh',
    '-c',
    `mkdir -p /tmp/$HOSTNAME; echo $HOSTNAME > /tmp/$HOSTNAME/index.html; exec busybox httpd -f -p ${port} -h /tmp/$HOSTNAME`,
  ],
});

interface PodParts {
  labels?: Readonly<Record<string, string>>;
  [field: string]: unknown;
}
