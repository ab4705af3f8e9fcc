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
