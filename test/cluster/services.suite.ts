import { expect, test } from '@jest/globals';
import { request } from 'undici';
import { freePort } from '../../cli/ports.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster } from './harness.ts';

/** A pod that serves a file on a port of this machine, and a Service before it. */
const site = (port: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: site, namespace: default }
spec:
  replicas: 1
  selector: { matchLabels: { app: site } }
  template:
    metadata: { labels: { app: site } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: k8s.test/busybox:1
          imagePullPolicy: IfNotPresent
          command: ['sh', '-c', 'mkdir -p www; echo welcome > www/index.html; exec busybox httpd -f -p ${port} -h www']
          ports: [{ containerPort: ${port}, name: http }]
          resources: { requests: { cpu: 50m, memory: 16Mi } }
---
apiVersion: v1
kind: Service
metadata: { name: site, namespace: default }
spec:
  type: NodePort
  selector: { app: site }
  ports: [{ port: 8000, targetPort: http }]
`;

const get = async (host: string, port: number): Promise<string> =>
  (await request(`http://${host}:${port}/`)).body.text();

/** A Service as those who call it see it. */
export function describeServices(cluster: () => TestCluster): void {
  test('a Service answers on its address and its node port, from here and from pods; without pods it refuses', async () => {
    const { kubectl } = cluster();
    await kubectl.feed(site(await freePort()), 'apply', '-f', '-');
    await kubectl.run('rollout', 'status', 'deployment/site', '--timeout=60s');
    const [ip = '', nodePort = ''] = (
      await kubectl.run('get', 'service', 'site', '-o', 'jsonpath={.spec.clusterIP} {.spec.ports[0].nodePort}')
    ).split(' ');
    await eventually(async () => expect(await get(ip, 8000)).toBe('welcome\n'), 20_000);
    expect(await get('127.0.0.1', Number(nodePort))).toBe('welcome\n');
    const inPod = 'busybox wget -qO- http://$SITE_SERVICE_HOST:$SITE_SERVICE_PORT/';
    await kubectl.run('delete', 'pod', '-l', 'app=site', '--now');
    await kubectl.run('rollout', 'status', 'deployment/site', '--timeout=60s');
    await eventually(
      async () => expect(await kubectl.run('exec', 'deployment/site', '--', 'sh', '-c', inPod)).toBe('welcome\n'),
      20_000,
    );
    await kubectl.run('scale', 'deployment/site', '--replicas=0');
    await eventually(() => expect(get(ip, 8000)).rejects.toMatchObject({ code: 'ECONNREFUSED' }), 20_000);
    await eventually(
      () => expect(get('127.0.0.1', Number(nodePort))).rejects.toMatchObject({ code: 'ECONNREFUSED' }),
      5_000,
    );
  }, 90_000);

  test('a pod reaches the API where its environment says, and believes the certificate', async () => {
    const { kubectl } = cluster();
    const ask =
      'cd /var/run/secrets/kubernetes.io/serviceaccount && curl -s --cacert ca.crt -H "Authorization: Bearer $(cat token)" https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/version';
    await kubectl.run(
      'run',
      'asker',
      '--image=k8s.test/busybox:1',
      '--restart=Never',
      '--command',
      '--',
      'sh',
      '-c',
      ask,
    );
    await eventually(async () => expect(await kubectl.run('get', 'pod', 'asker')).toMatch(/Completed|Error/), 30_000);
    expect(JSON.parse(await kubectl.run('logs', 'asker'))).toMatchObject({ major: '1' });
  }, 60_000);
}
