import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startServer, type TestServer } from './harness.ts';
import { kubectls, runKubectl } from './kubectls.ts';

let s: TestServer;
const home = mkdtempSync(join(tmpdir(), 'km-kubectl-'));
beforeAll(async () => {
  s = await startServer();
});
afterAll(async () => {
  await s.stop();
  rmSync(home, { recursive: true, force: true });
});

const run = (kubectl: string, args: string[], input = '') =>
  runKubectl(kubectl, args, { input, env: { HOME: home, KUBECONFIG: s.kubeconfig } });

const manifest = (image: string) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: c, image: "${image}", ports: [{ containerPort: 80 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
`;

describe.each(kubectls().map((path) => [path.split('/').at(-1)!, path]))('%s', (name, path) => {
  const namespace = name.replaceAll('.', '-');
  /** Runs a command that must succeed; gives what it printed. */
  const k = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await run(path, ['-n', namespace, ...args]);
    if (code !== 0) throw new Error(`${name} ${args.join(' ')}: ${err}`);
    return out.trim();
  };

  test('makes, shows, changes and deletes objects', async () => {
    expect(await k('create', 'namespace', namespace)).toBe(`namespace/${namespace} created`);
    expect(await k('create', 'configmap', 'c', '--from-literal=a=b')).toBe('configmap/c created');
    expect(await k('create', 'secret', 'generic', 's', '--from-literal=a=b')).toBe('secret/s created');
    expect(await k('get', 'secret', 's', '-o', 'jsonpath={.data.a} {.type}')).toBe('Yg== Opaque');
    expect(await k('run', 'p', '--image=nginx')).toBe('pod/p created');
    expect(await k('get', 'pods')).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE\np +0\/1 +Pending +0 +\d+s$/);
    expect(await k('get', 'cm', 'c', '--no-headers')).toMatch(/^c +1 +\d+s$/);
    expect(await k('label', 'pod', 'p', 'x=y')).toBe('pod/p labeled');
    expect(await k('get', 'pods', '-l', 'x=y', '-o', 'name')).toBe('pod/p');
    expect(await k('get', 'pods', '--field-selector', 'status.phase=Running', '-o', 'name')).toBe('');
    expect(await k('describe', 'pod', 'p')).toContain('Image:        nginx');
    expect(await k('delete', 'pod', 'p', '--now')).toContain('pod "p"');
    expect((await run(path, ['get', 'pod', 'p', '-n', namespace])).err).toContain(
      'Error from server (NotFound): pods "p" not found',
    );
  });

  test('applies manifests and rolls them on', async () => {
    const apply = async (image: string) => {
      const { code, out, err } = await run(path, ['-n', namespace, 'apply', '-f', '-'], manifest(image));
      if (code !== 0) throw new Error(err);
      return out.trim().split('\n');
    };
    expect(await apply('nginx:1')).toEqual(['deployment.apps/web created', 'service/web created']);
    expect(await apply('nginx:1')).toEqual(['deployment.apps/web unchanged', 'service/web unchanged']);
    expect(await apply('nginx:2')).toEqual(['deployment.apps/web configured', 'service/web unchanged']);
    expect(await k('scale', 'deploy', 'web', '--replicas=5')).toBe('deployment.apps/web scaled');
    expect(await k('set', 'image', 'deploy/web', 'c=nginx:3')).toBe('deployment.apps/web image updated');
    expect(
      await k('patch', 'deploy', 'web', '--type=json', '-p', '[{"op":"replace","path":"/spec/replicas","value":7}]'),
    ).toBe('deployment.apps/web patched');
    expect(await k('get', 'deploy', 'web', '-o', 'wide', '--no-headers')).toMatch(
      /^web +0\/7 +0 +0 +\S+ +c +nginx:3 +app=web$/,
    );
    expect(await k('get', 'svc', 'web', '--no-headers')).toMatch(/^web +ClusterIP +10\.\d+\.\d+\.\d+ +<none> +80\/TCP/);
    expect(await k('delete', 'deploy,svc', 'web')).toContain('deleted');
  });

  test('explains, discovers and reports mistakes', async () => {
    expect(await k('explain', 'deployment.spec.strategy.rollingUpdate')).toContain('maxSurge');
    const spec = await k('explain', 'deployment.spec');
    expect(spec).not.toContain('<no description>');
    expect(spec).toMatch(/number\s+of\s+desired\s+pods/i);
    expect(await k('explain', 'cronjob.spec.jobTemplate.spec.template.spec.containers')).toContain('livenessProbe');
    expect(await k('explain', 'hpa.spec', '--api-version=autoscaling/v1')).toContain('targetCPUUtilizationPercentage');
    if ((await k('explain', '--help')).includes('plaintext-openapiv2'))
      expect(await k('explain', 'statefulset.spec', '--output=plaintext-openapiv2')).toContain('volumeClaimTemplates');
    expect(await k('api-resources', '-o', 'wide', '--no-headers')).toMatch(
      /^componentstatuses +cs +v1 +false +ComponentStatus +\[?get[, ]+list\]? *$/m,
    );
    expect(await k('api-resources', '--no-headers')).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment$/m);
    expect(await k('auth', 'can-i', 'create', 'pods')).toBe('yes');
    expect(await k('version', '-o', 'json')).toContain('"gitVersion": "v1.36.0+km.0.1.0"');
    const file = join(home, `${name}.yaml`);
    writeFileSync(file, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: wrong}\nfoo: 1\n');
    const refused = await run(path, ['-n', namespace, 'create', '-f', file]);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/unknown field "foo"|ValidationError/);
  });

  test('watches', async () => {
    await k('create', 'configmap', 'later');
    const waiting = k('wait', '--for=delete', 'configmap/later', '--timeout=10s');
    await k('delete', 'configmap', 'later');
    await waiting;
  });
});
