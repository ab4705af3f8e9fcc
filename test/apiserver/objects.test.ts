import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startEtcd, type EtcdProcess } from './etcd-process.ts';
import { adminToken, startServer, type TestServer, listOf } from './harness.ts';

const cms = '/api/v1/namespaces/default/configmaps';
const pods = '/api/v1/namespaces/default/pods';
const deployments = '/apis/apps/v1/namespaces/default/deployments';
const configMap = (name: string, extra = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, ...extra });
const pod = (name: string, spec = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'busybox' }], ...spec },
});
const deployment = (name: string) => ({
  metadata: { name },
  spec: {
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'nginx:1' }] } },
  },
});

let etcd: EtcdProcess;
beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.stop());

describe.each(['embedded', 'etcd'])('objects kept in %s', (which) => {
  let s: TestServer;
  const call: TestServer['call'] = (...args) => s.call(...args);

  beforeAll(async () => {
    s = await startServer(which === 'etcd' ? { etcdServers: [etcd.url] } : {});
  });
  afterAll(() => s.stop());

  test('are created once, with what the server sets', async () => {
    const made = await call('POST', cms, configMap('a', { data: { x: '1' } }));
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: {
        name: 'a',
        namespace: 'default',
        uid: expect.any(String),
        resourceVersion: expect.any(String),
        creationTimestamp: expect.any(String),
      },
      data: { x: '1' },
    });
    const again = await call('POST', cms, configMap('a'));
    expect(again.json).toMatchObject({
      kind: 'Status',
      code: 409,
      reason: 'AlreadyExists',
      message: 'configmaps "a" already exists',
      details: { name: 'a', kind: 'configmaps' },
    });
    expect((await call('GET', `${cms}/a`)).text).toBe(made.text);
    expect((await call('GET', `${cms}/none`)).json).toMatchObject({
      code: 404,
      reason: 'NotFound',
      message: 'configmaps "none" not found',
    });
  });

  test('have no empty metadata, neither made nor changed', async () => {
    const nothing = { annotations: {}, labels: {}, finalizers: [], ownerReferences: [] };
    const made = await call('POST', cms, { metadata: { name: 'bare', ...nothing } });
    const fieldsOf = ({ json }: typeof made) => Object.keys(json['metadata'] as object);
    expect(fieldsOf(made).filter((field) => field in nothing)).toEqual([]);
    const headers = { 'content-type': 'application/merge-patch+json' };
    const changed = await call('PATCH', `${cms}/bare`, { metadata: nothing }, headers);
    expect(changed.text).toBe(made.text);
  });

  test('are read from a body of unknown length and type over HTTP/2, as kubectl create --raw sends it', async () => {
    const session = connect(`https://127.0.0.1:${s.port}`, { rejectUnauthorized: false });
    const stream = session.request({ ':method': 'POST', ':path': cms, authorization: `Bearer ${adminToken}` });
    stream.end(JSON.stringify(configMap('raw', { data: { x: '1' } })));
    const [answer] = (await once(stream, 'response')) as [{ ':status': number }];
    session.close();
    expect(answer[':status']).toBe(201);
    expect((await call('GET', `${cms}/raw`)).json).toMatchObject({ data: { x: '1' } });
  });

  test('get a name from generateName', async () => {
    const made = await call('POST', cms, { metadata: { generateName: 'gen-' } });
    expect(made.json['metadata']!['name']).toMatch(/^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  });

  test('are updated only from their newest state', async () => {
    const made = (await call('POST', cms, configMap('upd'))).json;
    const next = await call('PUT', `${cms}/upd`, { ...made, data: { a: 'b' } });
    expect(next).toMatchObject({ status: 200, json: { data: { a: 'b' } } });
    const stale = await call('PUT', `${cms}/upd`, { ...made, data: { a: 'c' } });
    expect(stale.json).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message:
        'Operation cannot be fulfilled on configmaps "upd": the object has been modified; please apply your changes to the latest version and try again',
    });
    const same = await call('PUT', `${cms}/upd`, configMap('upd', { data: { a: 'b' } }));
    expect(same.json['metadata']!['resourceVersion']).toBe(next.json['metadata']!['resourceVersion']);
  });

  test('a thousandfold race of patches loses none', async () => {
    await call('POST', cms, configMap('race', { data: {} }));
    const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
    const answers = await Promise.all(
      keys.map((key) =>
        call('PATCH', `${cms}/race`, { data: { [key]: 'x' } }, { 'content-type': 'application/merge-patch+json' }),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(Object.keys((await call('GET', `${cms}/race`)).json['data']!).sort()).toEqual(keys.sort());
  });

  test('take JSON, merge and strategic patches', async () => {
    await call('POST', deployments, deployment('patched'));
    const path = `${deployments}/patched`;
    const strategic = await call(
      'PATCH',
      path,
      { spec: { template: { spec: { containers: [{ name: 'c', image: 'nginx:2' }] } } } },
      { 'content-type': 'application/strategic-merge-patch+json' },
    );
    expect(strategic.json).toMatchObject({
      metadata: { generation: 2 },
      spec: { template: { spec: { containers: [{ image: 'nginx:2', imagePullPolicy: 'IfNotPresent' }] } } },
    });
    const json = await call(
      'PATCH',
      path,
      [
        { op: 'test', path: '/spec/replicas', value: 1 },
        { op: 'replace', path: '/spec/replicas', value: 4 },
      ],
      { 'content-type': 'application/json-patch+json' },
    );
    expect(json.json).toMatchObject({ metadata: { generation: 3 }, spec: { replicas: 4 } });
    expect(
      (
        await call('PATCH', path, [{ op: 'test', path: '/spec/replicas', value: 1 }], {
          'content-type': 'application/json-patch+json',
        })
      ).status,
    ).toBe(422);
    expect(
      (
        await call(
          'PATCH',
          path,
          { metadata: { labels: { a: 'b' } } },
          { 'content-type': 'application/merge-patch+json' },
        )
      ).json,
    ).toMatchObject({ metadata: { generation: 3, labels: { a: 'b' } } });
  });

  test('with finalizers wait for them', async () => {
    await call('POST', cms, { metadata: { name: 'fin', finalizers: ['example.com/wait'] } });
    const marked = await call('DELETE', `${cms}/fin`);
    expect(marked.json).toMatchObject({ metadata: { deletionTimestamp: expect.any(String) } });
    await call(
      'PATCH',
      `${cms}/fin`,
      { metadata: { finalizers: null } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect((await call('GET', `${cms}/fin`)).status).toBe(404);
  });

  test('of the first days leave their pods behind, unless somebody says otherwise', async () => {
    const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    const jobs = '/apis/batch/v1/namespaces/default/jobs';
    const controllers = '/api/v1/namespaces/default/replicationcontrollers';
    const job = {
      metadata: { name: 'j' },
      spec: { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
    };
    await call('POST', jobs, job);
    await call('POST', controllers, { metadata: { name: 'rc' }, spec: { selector: { a: 'b' }, template } });
    const deleted = await call('DELETE', `${jobs}/j`);
    expect(deleted.json['metadata']!['finalizers']).toEqual(['orphan']);
    expect(deleted.headers['warning']).toContain('child pods are preserved by default when jobs are deleted');
    const quiet = await call('DELETE', `${controllers}/rc?dryRun=All`);
    expect(quiet.json['metadata']!['finalizers']).toEqual(['orphan']);
    expect(quiet.headers['warning']).toBeUndefined();
    const gone = await call('DELETE', `${jobs}/j`, { propagationPolicy: 'Background' });
    expect([gone.json['status'], gone.headers['warning']]).toEqual(['Success', undefined]);
    expect((await call('DELETE', `${controllers}/rc`, { orphanDependents: false })).status).toBe(200);
  });

  test('that are still there after a deletion answer 202 where orphanDependents is false', async () => {
    await call('POST', cms, configMap('held', { metadata: { name: 'held', finalizers: ['example.com/x'] } }));
    expect((await call('DELETE', `${cms}/held`, { propagationPolicy: 'Foreground' })).status).toBe(200);
    expect((await call('DELETE', `${cms}/held`, { orphanDependents: false })).status).toBe(202);
  });

  test('are deleted under preconditions and by propagation policy', async () => {
    await call('POST', cms, configMap('pre'));
    const wrong = await call('DELETE', `${cms}/pre`, { preconditions: { uid: 'other' } });
    expect(wrong.json).toMatchObject({
      code: 409,
      message: expect.stringContaining('Precondition failed: UID in precondition: other'),
    });
    const orphaned = await call('DELETE', `${cms}/pre`, { propagationPolicy: 'Orphan' });
    expect(orphaned.json).toMatchObject({ metadata: { finalizers: ['orphan'] } });
    const gone = await call('DELETE', `${cms}/pre`, { propagationPolicy: 'Background' });
    expect(gone.json).toMatchObject({
      kind: 'Status',
      status: 'Success',
      details: { name: 'pre', kind: 'configmaps' },
    });
  });

  test('a dry run answers the same and writes nothing', async () => {
    expect((await call('POST', `${cms}?dryRun=All`, configMap('dry'))).status).toBe(201);
    expect((await call('GET', `${cms}/dry`)).status).toBe(404);
    expect((await call('POST', `${cms}?dryRun=Some`, configMap('dry'))).status).toBe(422);
  });

  test('unknown and duplicate fields are refused, warned of or ignored', async () => {
    const body = '{"metadata":{"name":"strict"},"foo":1,"data":{"a":"1","a":"2"}}';
    const strict = await call('POST', `${cms}?fieldValidation=Strict`, body);
    expect(strict.json).toMatchObject({
      code: 400,
      message:
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "foo", duplicate field "data.a"',
    });
    const warned = await call('POST', `${cms}?dryRun=All`, body);
    expect([warned.headers['warning']].flat().join(', ')).toBe(
      ['299 - "unknown field \\"foo\\""', '299 - "duplicate field \\"data.a\\""'].join(', '),
    );
    const ignored = await call('POST', `${cms}?dryRun=All&fieldValidation=Ignore`, body);
    expect(ignored).toMatchObject({ status: 201 });
    expect(ignored.headers['warning']).toBeUndefined();
  });

  test('a namespace labels itself, refuses newcomers while it ends, and goes when it is finalized', async () => {
    const made = await call('POST', '/api/v1/namespaces', { metadata: { name: 'ending' } });
    expect(made.json).toMatchObject({
      metadata: { labels: { 'kubernetes.io/metadata.name': 'ending' } },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    });
    const marked = await call('DELETE', '/api/v1/namespaces/ending');
    expect(marked.json).toMatchObject({
      status: { phase: 'Terminating' },
      metadata: { deletionTimestamp: expect.any(String) },
    });
    const refused = await call('POST', '/api/v1/namespaces/ending/configmaps', configMap('x'));
    expect(refused.json).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      details: { causes: [{ reason: 'NamespaceTerminating' }] },
    });
    await call('PUT', '/api/v1/namespaces/ending/finalize', { metadata: { name: 'ending' }, spec: { finalizers: [] } });
    expect((await call('GET', '/api/v1/namespaces/ending')).status).toBe(404);
    expect((await call('POST', '/api/v1/namespaces/none/configmaps', configMap('x'))).json).toMatchObject({
      code: 404,
      message: 'namespaces "none" not found',
    });
  });

  test('images that are volumes are pulled as those of containers are, unless told', async () => {
    const withImages = (name: string, ...images: object[]) =>
      pod(name, { volumes: images.map((image, i) => ({ name: `v${i}`, image })) });
    const images = [{ reference: 'a' }, { reference: 'a:1' }, { reference: 'a', pullPolicy: 'Never' }];
    const policies = images.map(({ pullPolicy }, i) => ({
      image: { pullPolicy: pullPolicy ?? ['Always', 'IfNotPresent'][i] },
    }));
    expect((await call('POST', pods, withImages('images', ...images))).json).toMatchObject({
      spec: { volumes: policies },
    });
    expect((await call('POST', pods, withImages('wrong', { reference: 'a', pullPolicy: 'Often' }))).json).toMatchObject(
      {
        code: 422,
        message: expect.stringContaining('spec.volumes[0].image.pullPolicy: Unsupported value: "Often"'),
      },
    );
  });

  test('pods get their defaults, and change only where they may', async () => {
    const made = (await call('POST', pods, pod('p'))).json;
    expect(made).toMatchObject({
      spec: {
        restartPolicy: 'Always',
        dnsPolicy: 'ClusterFirst',
        terminationGracePeriodSeconds: 30,
        schedulerName: 'default-scheduler',
        containers: [{ imagePullPolicy: 'Always' }],
      },
      status: { phase: 'Pending', qosClass: 'BestEffort' },
    });
    const spec = made['spec'] as unknown as Record<string, unknown>;
    expect((await call('PUT', `${pods}/p`, { ...made, spec: { ...spec, hostname: 'x' } })).json).toMatchObject({
      code: 422,
      reason: 'Invalid',
      message: expect.stringContaining(
        'Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than',
      ),
    });
    expect(
      (
        await call(
          'PATCH',
          `${pods}/p`,
          { spec: { containers: [{ name: 'c', image: 'other' }] } },
          { 'content-type': 'application/strategic-merge-patch+json' },
        )
      ).status,
    ).toBe(200);
    const status = await call(
      'PATCH',
      `${pods}/p/status`,
      { status: { phase: 'Running' }, spec: { hostname: 'x' } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(status.json).toMatchObject({ status: { phase: 'Running' } });
    expect(status.json['spec']!['hostname']).toBeUndefined();
    expect(
      (
        await call(
          'PATCH',
          `${pods}/p`,
          { status: { phase: 'Failed' } },
          { 'content-type': 'application/merge-patch+json' },
        )
      ).json,
    ).toMatchObject({ status: { phase: 'Running' } });
  });

  test('a pod is bound once, with the annotations of its binding', async () => {
    await call('POST', pods, pod('bound'));
    const binding = { metadata: { name: 'bound', annotations: { task: 't1' } }, target: { kind: 'Node', name: 'n1' } };
    expect((await call('POST', `${pods}/bound/binding`, binding)).json).toMatchObject({
      kind: 'Status',
      status: 'Success',
      code: 201,
    });
    expect((await call('GET', `${pods}/bound`)).json).toMatchObject({
      metadata: { annotations: { task: 't1' } },
      spec: { nodeName: 'n1' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    });
    expect((await call('POST', `${pods}/bound/binding`, binding)).json).toMatchObject({
      code: 409,
      message: 'Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "n1"',
    });
  });

  test('a bound pod waits for its kubelet, an unbound one goes at once', async () => {
    await call('POST', pods, pod('waits', { nodeName: 'n1' }));
    const marked = await call('DELETE', `${pods}/waits`);
    expect(marked.json).toMatchObject({
      metadata: { deletionGracePeriodSeconds: 30, deletionTimestamp: expect.any(String) },
    });
    expect((await call('DELETE', `${pods}/waits`, { gracePeriodSeconds: 5 })).json).toMatchObject({
      metadata: { deletionGracePeriodSeconds: 5 },
    });
    expect((await call('GET', `${pods}/waits`)).status).toBe(200);
    await call('DELETE', `${pods}/waits`, { gracePeriodSeconds: 0 });
    expect((await call('GET', `${pods}/waits`)).status).toBe(404);
    await call('POST', pods, pod('free'));
    expect((await call('DELETE', `${pods}/free`)).json).toMatchObject({ kind: 'Pod' });
    expect((await call('GET', `${pods}/free`)).status).toBe(404);
  });

  test('workloads scale through their scale subresource', async () => {
    await call('POST', deployments, deployment('scaled'));
    expect((await call('GET', `${deployments}/scaled/scale`)).json).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 1 },
      status: { replicas: 0, selector: 'app=scaled' },
    });
    await call(
      'PATCH',
      `${deployments}/scaled/scale`,
      { spec: { replicas: 3 } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect((await call('GET', `${deployments}/scaled`)).json).toMatchObject({ spec: { replicas: 3 } });
  });

  test('services get addresses and ports that nobody else has, and give them back', async () => {
    const services = '/api/v1/namespaces/default/services';
    const service = (name: string, spec = {}) => ({ metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } });
    const made = (
      await Promise.all(
        Array.from({ length: 150 }, (_, i) => call('POST', services, service(`s${i}`, { type: 'NodePort' }))),
      )
    ).map(({ json }) => json);
    const ips = made.map((one) => one['spec']!['clusterIP'] as unknown as string);
    expect(new Set(ips).size).toBe(150);
    expect(new Set(made.map((one) => listOf<{ nodePort: number }>(one['spec']!['ports'])[0]!.nodePort)).size).toBe(150);
    expect((await call('POST', services, service('taken', { clusterIP: ips[0] }))).json).toMatchObject({
      code: 422,
      message: expect.stringContaining('provided IP is already allocated'),
    });
    await call('DELETE', `${services}/s0`);
    expect((await call('POST', services, service('again', { clusterIP: ips[0] }))).status).toBe(201);
    expect((await call('POST', services, service('headless', { clusterIP: 'None' }))).json).toMatchObject({
      spec: { clusterIP: 'None' },
    });
    expect((await call('GET', `${services}/kubernetes`)).json).toMatchObject({ spec: { clusterIP: '10.96.0.1' } });
  });

  test('a collection is deleted by selector', async () => {
    await call('POST', cms, configMap('d1', { metadata: { name: 'd1', labels: { drop: 'yes' } } }));
    await call('POST', cms, configMap('d2', { metadata: { name: 'd2', labels: { drop: 'yes' } } }));
    expect((await call('DELETE', `${cms}?labelSelector=drop%3Dyes`)).json).toMatchObject({ kind: 'ConfigMapList' });
    expect((await call('GET', `${cms}?labelSelector=drop%3Dyes`)).json).toMatchObject({ items: [] });
    expect((await call('GET', `${cms}/a`)).status).toBe(200);
  });
});
