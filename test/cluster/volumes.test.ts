import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { type Place, places } from './places.ts';

const objects = `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: default }
data: { COLOUR: green, app.conf: "a=1\\n" }
---
apiVersion: v1
kind: Secret
metadata: { name: keys, namespace: default }
stringData: { password: open sesame }
---
apiVersion: v1
kind: Pod
metadata: { name: reader, namespace: default, labels: { tier: back }, annotations: { note: hello } }
spec:
  terminationGracePeriodSeconds: 1
  volumes:
    - { name: settings, configMap: { name: settings } }
    - { name: keys, secret: { secretName: keys, defaultMode: 0o400, items: [{ key: password, path: deep/pass }] } }
    - { name: scratch, emptyDir: {} }
    - name: about
      downwardAPI:
        items:
          - { path: labels, fieldRef: { fieldPath: metadata.labels } }
          - { path: memory, resourceFieldRef: { containerName: main, resource: limits.memory } }
  initContainers:
    - name: first
      image: k8s.test/busybox:1
      command: [sh, -c, 'echo left by init > /scratch/note']
      volumeMounts: [{ name: scratch, mountPath: /scratch }]
  containers:
    - name: main
      image: k8s.test/busybox:1
      command: [sh, -c, 'exec sleep 1000']
      resources: { requests: { cpu: 50m, memory: 16Mi }, limits: { memory: 64Mi } }
      envFrom: [{ configMapRef: { name: settings } }, { secretRef: { name: keys }, prefix: KEY_ }]
      env:
        - { name: COLOUR_TOO, valueFrom: { configMapKeyRef: { name: settings, key: COLOUR } } }
        - { name: PASSWORD, valueFrom: { secretKeyRef: { name: keys, key: password } } }
        - { name: NOTE, valueFrom: { fieldRef: { fieldPath: "metadata.annotations['note']" } } }
        - { name: NODE, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
        - { name: IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
        - { name: MEMORY, valueFrom: { resourceFieldRef: { resource: limits.memory, divisor: 1Mi } } }
        - { name: BOTH, value: $(COLOUR_TOO)-$(NODE) }
      volumeMounts:
        - { name: settings, mountPath: /settings }
        - { name: settings, mountPath: /etc/one.conf, subPath: app.conf }
        - { name: keys, mountPath: /keys, readOnly: true }
        - { name: scratch, mountPath: /scratch }
        - { name: about, mountPath: /about }
`;

const kept = (path: string) => `
apiVersion: v1
kind: PersistentVolume
metadata: { name: kept }
spec:
  capacity: { storage: 1Gi }
  accessModes: [ReadWriteOnce]
  storageClassName: by-hand
  hostPath: { path: '${path}', type: Directory }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: kept, namespace: default }
spec: { accessModes: [ReadWriteOnce], storageClassName: by-hand, resources: { requests: { storage: 1Gi } } }
`;

const claimant = (name: string, command: string) => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: default }
spec:
  restartPolicy: Never
  volumes: [{ name: kept, persistentVolumeClaim: { claimName: kept } }]
  containers:
    - name: main
      image: k8s.test/busybox:1
      command: [sh, -c, '${command}']
      resources: { requests: { cpu: 50m, memory: 16Mi } }
      volumeMounts: [{ name: kept, mountPath: /kept }]
`;

describe.each(places)('on the %s runtime', (_name, open) => {
  let place: Place;
  beforeAll(async () => {
    place = await open();
    await place.cluster.kubectl.feed(objects, 'apply', '-f', '-');
    await place.cluster.kubectl.run('wait', '--for=condition=Ready', 'pod/reader', '--timeout=30s');
  }, 90_000);
  afterAll(async () => {
    await place?.cluster.kubectl.try('delete', 'pod', 'reader', '--timeout=20s');
    await place?.stop();
  }, 60_000);
  const sh = (script: string) => place.cluster.kubectl.run('exec', 'reader', '-c', 'main', '--', 'sh', '-c', script);

  test('a pod reads its config map, secret, scratch space and itself as files', async () => {
    expect(await sh('cat /settings/COLOUR /settings/app.conf /etc/one.conf')).toBe('greena=1\na=1\n');
    expect(await sh('cat /keys/deep/pass; stat -L -c %a /keys/deep/pass')).toBe('open sesame400\n');
    expect(await sh('cat /scratch/note; echo more > /scratch/more && cat /scratch/more')).toBe('left by init\nmore\n');
    expect(await sh('grep tier /about/labels; cat /about/memory')).toBe(`tier="back"\n${64 << 20}`);
    expect(await sh('touch /keys/mine 2>/dev/null || echo refused')).toBe('refused\n');
  });

  test('and in its environment', async () => {
    const { kubectl } = place.cluster;
    const [node, ip] = (
      await kubectl.run('get', 'pod', 'reader', '-o', 'jsonpath={.spec.nodeName} {.status.podIP}')
    ).split(' ');
    const environment = Object.fromEntries((await sh('env')).split('\n').map((line) => line.split('=')));
    expect(environment).toMatchObject({
      COLOUR: 'green',
      KEY_password: 'open sesame',
      COLOUR_TOO: 'green',
      PASSWORD: 'open sesame',
      NOTE: 'hello',
      NODE: node,
      IP: ip,
      MEMORY: '64',
      BOTH: `green-${node}`,
      KUBERNETES_SERVICE_HOST: expect.stringMatching(/^\d+\./),
    });
  });

  test('a change is seen in the files within seconds, whole, and not where a subPath was mounted', async () => {
    const { kubectl } = place.cluster;
    const took = async (what: string, script: string, wanted: string) => {
      const began = Date.now();
      await eventually(async () => expect(await sh(script)).toBe(wanted), 10_000);
      return { what, within: Date.now() - began < 5_000 };
    };
    const patch = JSON.stringify({ data: { COLOUR: 'blue', 'app.conf': null, 'new.conf': 'b=2\n' } });
    await kubectl.run('patch', 'configmap', 'settings', '--type=merge', '-p', patch);
    const files = 'cd /settings; cat COLOUR; ls';
    expect(await took('config map', files, 'blueCOLOUR\nnew.conf\n')).toEqual({ what: 'config map', within: true });
    expect(await sh('cat /etc/one.conf')).toBe('a=1\n');
    const password = Buffer.from('closed again').toString('base64');
    await kubectl.run('patch', 'secret', 'keys', '--type=merge', '-p', JSON.stringify({ data: { password } }));
    expect(await took('secret', 'cat /keys/deep/pass', 'closed again')).toEqual({ what: 'secret', within: true });
    await kubectl.run('label', 'pod', 'reader', 'tier=front', '--overwrite');
    expect(await took('labels', 'grep tier /about/labels', 'tier="front"\n')).toEqual({ what: 'labels', within: true });
    const back = JSON.stringify({ data: { COLOUR: 'green', 'app.conf': 'a=1\n', 'new.conf': null } });
    await kubectl.run('patch', 'configmap', 'settings', '--type=merge', '-p', back);
  });

  test('a config map that is missing is waited for', async () => {
    const { kubectl } = place.cluster;
    const late = objects
      .split('---')
      .at(-1)!
      .replaceAll('reader', 'late')
      .replaceAll('name: settings }', 'name: soon }');
    await kubectl.feed(late, 'apply', '-f', '-');
    await eventually(
      async () =>
        expect(await kubectl.run('describe', 'pod', 'late')).toMatch(/FailedMount.*configmap "soon" not found/),
      20_000,
    );
    await kubectl.run('create', 'configmap', 'soon', '--from-literal=COLOUR=blue', '--from-literal=app.conf=');
    await kubectl.run('wait', '--for=condition=Ready', 'pod/late', '--timeout=20s');
    expect(await kubectl.run('exec', 'late', '--', 'cat', '/settings/COLOUR')).toBe('blue');
    await kubectl.run('delete', 'pod', 'late');
  });

  test('a claim keeps what a pod wrote for the next one', async () => {
    const { kubectl, dir } = place.cluster;
    const data = join(dir, 'kept');
    mkdirSync(data, { mode: 0o777 });
    await kubectl.feed(kept(data), 'apply', '-f', '-');
    await kubectl.feed(claimant('writer', 'echo mine > /kept/note'), 'apply', '-f', '-');
    await kubectl.run('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/writer', '--timeout=30s');
    expect(readFileSync(join(data, 'note'), 'utf8')).toBe('mine\n');
    await kubectl.feed(claimant('reader2', 'cat /kept/note'), 'apply', '-f', '-');
    await kubectl.run('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/reader2', '--timeout=30s');
    expect(await kubectl.run('logs', 'reader2')).toBe('mine\n');
    await kubectl.run('delete', 'pod/writer', 'pod/reader2', 'pvc/kept', '--timeout=20s');
    await eventually(async () =>
      expect(await kubectl.run('get', 'pv', 'kept', '-o', 'jsonpath={.status.phase}')).toBe('Released'),
    );
  });
});
