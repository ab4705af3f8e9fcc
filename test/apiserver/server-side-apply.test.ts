import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startServer, type Json, type Reply, type TestServer, listOf } from './harness.ts';

// https://kubernetes.io/docs/reference/using-api/server-side-apply/

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const root = '/api/v1/namespaces/default';
const deployments = '/apis/apps/v1/namespaces/default/deployments';

function apply(path: string, config: object, manager = 'one', query = ''): Promise<Reply> {
  return server.call('PATCH', `${path}?fieldManager=${manager}${query}`, config, {
    'content-type': 'application/apply-patch+yaml',
  });
}

const configMap = (name: string, data: object, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data,
});

const rows = (reply: Reply): Json[] => listOf(reply.json['metadata']!['managedFields']);
const fieldsOf = (reply: Reply, manager: string) =>
  rows(reply).find((row) => String(row['manager']) === manager)?.['fieldsV1'];

const web = (containers: object[], spec: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers } },
    ...spec,
  },
});

describe('server-side apply', () => {
  test('makes the object, records who owns what, and says 200 the next time', async () => {
    const made = await apply(`${root}/configmaps/fresh`, configMap('fresh', { a: '1' }, { labels: { x: 'y' } }));
    expect(made.status).toBe(201);
    expect(rows(made)).toEqual([
      {
        manager: 'one',
        operation: 'Apply',
        apiVersion: 'v1',
        time: expect.stringMatching(/Z$/),
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:data': { 'f:a': {} }, 'f:metadata': { 'f:labels': { 'f:x': {} } } },
      },
    ]);
    const again = await apply(`${root}/configmaps/fresh`, configMap('fresh', { a: '1' }, { labels: { x: 'y' } }));
    expect(again.status).toBe(200);
    expect(again.json['metadata']!['resourceVersion']).toEqual(made.json['metadata']!['resourceVersion']);
  });

  test('a field that is no longer applied goes, what others own stays', async () => {
    const path = `${root}/configmaps/fewer`;
    await apply(path, configMap('fewer', { a: '1', b: '2', c: '3' }));
    await apply(path, configMap('fewer', { b: '2' }), 'two');
    const { json } = await apply(path, configMap('fewer', { c: '3' }));
    expect(json['data']).toEqual({ b: '2', c: '3' });
  });

  test('a conflict names manager and field; force takes the field over', async () => {
    const path = `${root}/configmaps/contested`;
    await apply(path, configMap('contested', { a: '1', b: '1' }));
    const refused = await apply(path, configMap('contested', { a: '2' }), 'two');
    expect(refused.status).toBe(409);
    expect(refused.json).toMatchObject({
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "one": .data.a',
      details: { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.data.a' }] },
    });
    const forced = await apply(path, configMap('contested', { a: '2' }), 'two', '&force=true');
    expect(forced.json['data']).toEqual({ a: '2', b: '1' });
    expect(fieldsOf(forced, 'one')).toEqual({ 'f:data': { 'f:b': {} } });
    expect(fieldsOf(forced, 'two')).toEqual({ 'f:data': { 'f:a': {} } });
  });

  test('several conflicts are listed by manager', async () => {
    const path = `${root}/configmaps/many`;
    await apply(path, configMap('many', { a: '1' }));
    await server.call(
      'PATCH',
      `${path}?fieldManager=hand`,
      { data: { b: '1' } },
      { 'content-type': 'application/merge-patch+json' },
    );
    const { json } = await apply(path, configMap('many', { a: '2', b: '2' }), 'two');
    expect(json['message']).toBe(
      'Apply failed with 2 conflicts: conflicts with "hand" using v1:\n- .data.b\nconflicts with "one":\n- .data.a',
    );
  });

  test('the same value is shared, not contested', async () => {
    const path = `${root}/configmaps/shared`;
    await apply(path, configMap('shared', { a: '1' }));
    const both = await apply(path, configMap('shared', { a: '1' }), 'two');
    expect(both.status).toBe(200);
    expect(rows(both)).toHaveLength(2);
    const { json } = await apply(path, configMap('shared', {}), 'one');
    expect(json['data']).toEqual({ a: '1' });
  });

  test('a plain update takes what it changes; create records the whole object by its User-Agent', async () => {
    const made = await server.call('POST', `${root}/configmaps`, configMap('plain', { a: '1', b: '1' }), {
      'user-agent': 'curl/8.0 (linux)',
    });
    expect(rows(made)).toMatchObject([
      { manager: 'curl', operation: 'Update', fieldsV1: { 'f:data': { '.': {}, 'f:a': {}, 'f:b': {} } } },
    ]);
    const path = `${root}/configmaps/plain`;
    await apply(path, configMap('plain', { a: '1', b: '1' }));
    const changed = await server.call('PUT', `${path}?fieldManager=hand`, configMap('plain', { a: '1', b: '2' }));
    expect(fieldsOf(changed, 'one')).toEqual({ 'f:data': { 'f:a': {} } });
    expect(fieldsOf(changed, 'hand')).toEqual({ 'f:data': { 'f:b': {} } });
  });

  test('lists of containers are merged by name, ports by number and protocol, atomic lists as a whole', async () => {
    const path = `${deployments}/web`;
    await apply(path, web([{ name: 'web', image: 'a:1', args: ['x', 'y'], ports: [{ containerPort: 80 }] }]));
    const sidecar = { name: 'side', image: 'b:1' };
    const second = await apply(path, web([sidecar, { name: 'web', ports: [{ containerPort: 443 }] }]), 'two');
    expect(second.status).toBe(200);
    const containers = listOf(second.json['spec']!['template']!['spec']!['containers']);
    expect(containers.map(({ name }) => name)).toEqual(['side', 'web']);
    expect(containers[1]).toMatchObject({
      image: 'a:1',
      args: ['x', 'y'],
      ports: [
        { containerPort: 80, protocol: 'TCP' },
        { containerPort: 443, protocol: 'TCP' },
      ],
    });
    const set = JSON.stringify(fieldsOf(second, 'two'));
    expect(set).toContain('k:{\\"containerPort\\":443,\\"protocol\\":\\"TCP\\"}');
    const args = await apply(path, web([{ name: 'web', image: 'a:1', args: ['z'] }]), 'three', '&force=true');
    const after = listOf(args.json['spec']!['template']!['spec']!['containers']);
    expect(after.find(({ name }) => String(name) === 'web')).toMatchObject({ args: ['z'] });
    const gone = await apply(path, web([{ name: 'web', ports: [{ containerPort: 443 }] }]), 'two');
    const names = listOf(gone.json['spec']!['template']!['spec']!['containers']).map(({ name }) => name);
    expect(names).toEqual(['web']);
  });

  test('a template asks for what it says: its limit can be lowered, and only its pods have requests and host ports', async () => {
    const path = `${deployments}/limited`;
    const limited = (memory: string) => {
      const container = { name: 'c', image: 'i', ports: [{ containerPort: 80 }], resources: { limits: { memory } } };
      const made = web([container]);
      made.spec.template.spec = { ...made.spec.template.spec, hostNetwork: true } as never;
      return { ...made, metadata: { name: 'limited' } };
    };
    const containerOf = (reply: Reply) => listOf(reply.json['spec']!['template']!['spec']!['containers'])[0]!;
    expect((await apply(path, limited('1Gi'))).status).toBe(201);
    const lowered = await apply(path, limited('512Mi'));
    expect(lowered.status).toBe(200);
    expect(containerOf(lowered)).toMatchObject({ ports: [{ containerPort: 80, protocol: 'TCP' }] });
    expect(containerOf(lowered)['resources']).toEqual({ limits: { memory: '512Mi' } });
    const { spec } = limited('256Mi').spec.template;
    // As `kubectl apply` changes what it made.
    const patched = await server.call(
      'PATCH',
      path,
      { spec: { template: { spec } } },
      {
        'content-type': 'application/strategic-merge-patch+json',
      },
    );
    expect(containerOf(patched)['resources']).toEqual({ limits: { memory: '256Mi' } });

    const pod = await server.call('POST', `${root}/pods`, { metadata: { name: 'limited' }, spec });
    const [container] = listOf(pod.json['spec']!['containers']);
    expect(container).toMatchObject({
      ports: [{ containerPort: 80, hostPort: 80 }],
      resources: { limits: { memory: '256Mi' }, requests: { memory: '256Mi' } },
    });
  });

  test('replicas can be handed over to an autoscaler by leaving them out', async () => {
    const path = `${deployments}/handed`;
    const config = (spec: object) => ({
      ...web([{ name: 'web', image: 'a' }], spec),
      metadata: { name: 'handed' },
    });
    await apply(path, config({ replicas: 3 }));
    const scaled = await server.call(
      'PATCH',
      `${path}/scale?fieldManager=hpa`,
      { spec: { replicas: 7 } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(scaled.status).toBe(200);
    const refused = await apply(path, config({ replicas: 3 }));
    expect(refused.json['message']).toBe(
      'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas',
    );
    const given = await apply(path, config({}));
    expect(given.json['spec']!['replicas']).toBe(7);
  });

  test('what is applied to a scale is owned in its object', async () => {
    const path = `${deployments}/scaled`;
    const made = { ...web([{ name: 'c', image: 'i' }], { replicas: 1 }), metadata: { name: 'scaled' } };
    expect((await apply(path, made)).status).toBe(201);
    const scale = (replicas: number) => ({
      ...{ apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'scaled' } },
      spec: { replicas },
    });
    const refused = await apply(`${path}/scale`, scale(3), 'scaler');
    expect([refused.status, refused.json['message']]).toEqual([
      409,
      'Apply failed with 1 conflict: conflict with "one": .spec.replicas',
    ]);
    const forced = await apply(`${path}/scale`, scale(3), 'scaler', '&force=true');
    expect(forced.json).toMatchObject({ kind: 'Scale', spec: { replicas: 3 } });
    const live = await server.call('GET', path);
    expect(live.json['spec']!['replicas']).toBe(3);
    expect(rows(live).find(({ manager }) => String(manager) === 'scaler')).toMatchObject({
      ...{ operation: 'Apply', subresource: 'scale', apiVersion: 'apps/v1' },
      fieldsV1: { 'f:spec': { 'f:replicas': {} } },
    });
    expect(JSON.stringify(fieldsOf(live, 'one'))).not.toContain('f:replicas');
    expect((await apply(`${path}/scale`, scale(-1), 'scaler')).status).toBe(422);
    expect((await apply(`${deployments}/none/scale`, { ...scale(1), metadata: {} }, 'scaler')).status).toBe(404);
  });

  test('status is owned through its own door', async () => {
    const path = `${deployments}/web`;
    const status = { apiVersion: 'apps/v1', kind: 'Deployment', status: { replicas: 1 } };
    const applied = await apply(`${path}/status`, { ...status, metadata: { name: 'web' } }, 'controller');
    expect(applied.status).toBe(200);
    expect(applied.json['status']).toMatchObject({ replicas: 1 });
    expect(rows(applied).find((row) => String(row['manager']) === 'controller')).toMatchObject({
      subresource: 'status',
      fieldsV1: { 'f:status': { 'f:replicas': {} } },
    });
  });

  test('managedFields: [{}] forgets them, apply then starts with what was there', async () => {
    const path = `${root}/configmaps/reset`;
    await apply(path, configMap('reset', { a: '1' }));
    const reset = await server.call(
      'PATCH',
      path,
      { metadata: { managedFields: [{}] } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(reset.json['metadata']!['managedFields']).toBeUndefined();
    const { json } = await apply(path, configMap('reset', { a: '2' }), 'two');
    expect(json['message']).toBe('Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a');
  });

  test.each([
    ['no manager', '', configMap('bad', {}), 422, 'fieldManager: Required value: is required for apply patch'],
    [
      'a field nobody knows',
      '?fieldManager=x',
      { ...configMap('bad', {}), foo: 1 },
      400,
      '.foo: field not declared in schema',
    ],
    [
      'own managedFields',
      '?fieldManager=x',
      configMap('bad', {}, { managedFields: [{}] }),
      400,
      'metadata.managedFields must be nil',
    ],
    ['another name', '?fieldManager=x', configMap('other', {}), 400, 'does not match the name on the URL'],
    ['a uid of nothing', '?fieldManager=x', configMap('bad', {}, { uid: 'u' }), 409, 'uid mismatch'],
  ])('refuses %s', async (_what, query, config, code, words) => {
    const reply = await server.call('PATCH', `${root}/configmaps/bad${query}`, config, {
      'content-type': 'application/apply-patch+yaml',
    });
    expect(reply.status).toBe(code);
    expect(String(reply.json['message'])).toContain(words);
  });

  test('two items with one key are refused, force without apply too', async () => {
    const twice = await apply(`${deployments}/twice`, {
      ...web([{ name: 'web', image: 'a' }, { name: 'web', image: 'b' }]), // prettier-ignore
      metadata: { name: 'twice' },
    });
    expect(twice.status).toBe(400);
    expect(String(twice.json['message'])).toContain('duplicate entries for key {"name":"web"}');
    const forced = await server.call(
      'PATCH',
      `${deployments}/web?force=true`,
      {},
      {
        'content-type': 'application/merge-patch+json',
      },
    );
    expect(forced.json['message']).toContain('may not be specified for non-apply patch');
  });
});
