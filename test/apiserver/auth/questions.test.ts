import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kubectl, newestKubectl } from '../../cluster/kubectl.ts';
import { eventually } from '../../eventually.ts';
import { startServer, type Json, type TestServer, listOf } from '../harness.ts';

let s: TestServer;
beforeAll(async () => {
  s = await startServer(
    {},
    {
      tokens: [
        { token: 'admin-token', user: { name: 'admin', groups: ['system:masters'] } },
        { token: 'alice', user: { name: 'alice', groups: [] } },
      ],
    },
  );
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' };
  const binding = {
    metadata: { name: 'b' },
    roleRef,
    subjects: [
      { kind: 'User', name: 'alice' },
      { kind: 'Group', name: 'devs' },
    ],
  };
  await s.call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', binding);
  await eventually(async () =>
    expect(await may('SubjectAccessReview', { user: 'alice' })).toMatchObject({ allowed: true }),
  );
});
afterAll(() => s.stop());

const resourceAttributes = { namespace: 'default', verb: 'get', resource: 'pods' };
async function ask(kind: string, spec: object, namespace = ''): Promise<Json> {
  const where = namespace ? `namespaces/${namespace}/` : '';
  const answer = await s.call('POST', `/apis/authorization.k8s.io/v1/${where}${kind.toLowerCase()}s`, { spec });
  return answer.json;
}
const may = async (kind: string, spec: object) => (await ask(kind, { resourceAttributes, ...spec }))['status']!;

describe('whether somebody may is answered', () => {
  test('for users, groups and oneself, with the binding that lets them', async () => {
    const reason = 'RBAC: allowed by RoleBinding "b/default" of ClusterRole "view" to';
    expect(await may('SubjectAccessReview', { user: 'alice' })).toEqual({
      allowed: true,
      reason: `${reason} User "alice"`,
    });
    expect(await may('SubjectAccessReview', { user: 'x', groups: ['devs'] })).toEqual({
      allowed: true,
      reason: `${reason} Group "devs"`,
    });
    expect(await may('SubjectAccessReview', { user: 'x' })).toEqual({ allowed: false });
    expect(await may('SelfSubjectAccessReview', {})).toEqual({ allowed: true });
    const path = { user: 'x', groups: ['system:authenticated'], nonResourceAttributes: { path: '/apis', verb: 'get' } };
    expect((await ask('SubjectAccessReview', path))['status']).toMatchObject({ allowed: true });
  });

  test('for one namespace only where one is asked', async () => {
    expect(
      (await ask('LocalSubjectAccessReview', { user: 'alice', resourceAttributes }, 'default'))['status'],
    ).toMatchObject({ allowed: true });
    expect((await ask('LocalSubjectAccessReview', { user: 'alice', resourceAttributes }, 'other'))['message']).toMatch(
      'spec.resourceAttributes.namespace: Invalid value: "default": must match metadata.namespace',
    );
  });

  test('with selectors, as lists are', async () => {
    const asNode = { user: 'system:node:n1', groups: ['system:nodes'] };
    const fieldSelector = (value: string) => ({
      requirements: [{ key: 'spec.nodeName', operator: 'In', values: [value] }],
    });
    const list = (node: string) => ({
      ...asNode,
      resourceAttributes: { verb: 'list', resource: 'pods', fieldSelector: fieldSelector(node) },
    });
    expect((await ask('SubjectAccessReview', list('n1')))['status']).toMatchObject({ allowed: true });
    expect((await ask('SubjectAccessReview', list('n2')))['status']).toMatchObject({ allowed: false });
  });

  test('not when nobody or nothing is named', async () => {
    expect((await ask('SubjectAccessReview', { resourceAttributes }))['message']).toMatch(
      'at least one of user or group must be specified',
    );
    expect((await ask('SubjectAccessReview', { user: 'x' }))['message']).toMatch(
      'exactly one of nonResourceAttributes or resourceAttributes',
    );
  });

  test('only to who may ask', async () => {
    const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
    const spec = { user: 'x', resourceAttributes };
    expect((await s.call('POST', path, { spec }, { authorization: 'Bearer alice' })).status).toBe(403);
    expect((await s.call('GET', path)).status).toBe(405);
  });
});

test('the rules of a namespace are listed', async () => {
  const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews';
  const answer = await s.call('POST', path, { spec: { namespace: 'default' } }, { authorization: 'Bearer alice' });
  const status = answer.json['status'] as unknown as {
    resourceRules: Json[];
    nonResourceRules: Json[];
    incomplete: boolean;
  };
  expect(status.incomplete).toBe(false);
  expect(status.resourceRules).toContainEqual({
    verbs: ['get', 'list', 'watch'],
    apiGroups: [''],
    resources: ['namespaces'],
  });
  expect(status.nonResourceRules).toContainEqual({
    verbs: ['get'],
    nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'],
  });
});

describe('the question kinds', () => {
  test('are discovered, with one verb', async () => {
    const { json } = await s.call('GET', '/apis/authorization.k8s.io/v1');
    const resources = listOf(json['resources']);
    expect(resources.map(({ name, namespaced, verbs }) => [name, namespaced, verbs])).toEqual([
      ['localsubjectaccessreviews', true, ['create']],
      ['selfsubjectaccessreviews', false, ['create']],
      ['selfsubjectrulesreviews', false, ['create']],
      ['subjectaccessreviews', false, ['create']],
    ]);
    const groups = listOf((await s.call('GET', '/apis')).json['groups']);
    expect(groups.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['authentication.k8s.io', 'authorization.k8s.io']),
    );
    const accounts = listOf((await s.call('GET', '/api/v1')).json['resources']);
    expect(accounts).toContainEqual(
      expect.objectContaining({
        name: 'serviceaccounts/token',
        group: 'authentication.k8s.io',
        kind: 'TokenRequest',
        verbs: ['create'],
      }),
    );
  });

  test('are in OpenAPI, with nothing but a POST', async () => {
    const v3 = await s.call('GET', '/openapi/v3/apis/authentication.k8s.io/v1');
    expect(Object.keys(v3.json['paths']!['/apis/authentication.k8s.io/v1/tokenreviews']!)).toEqual([
      'post',
      'parameters',
    ]);
    expect((await s.call('GET', '/openapi/v2')).json['definitions']).toHaveProperty([
      'io.k8s.api.authentication.v1.TokenReview',
    ]);
  });

  test('show in kubectl api-resources', async () => {
    const cli = new Kubectl(newestKubectl(), s.kubeconfig);
    const list = await cli.run('api-resources');
    expect(list).toMatch(/^subjectaccessreviews +authorization.k8s.io\/v1 +false +SubjectAccessReview$/m);
    expect(list).toMatch(
      /^certificatesigningrequests +csr +certificates.k8s.io\/v1 +false +CertificateSigningRequest$/m,
    );
  });
});

test('quotas, limits and priorities show as tables', async () => {
  const cli = new Kubectl(newestKubectl(), s.kubeconfig);
  const quota = {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'q' },
    spec: { hard: { pods: '2', 'limits.cpu': '4' } },
  };
  await cli.feed(JSON.stringify(quota), 'create', '-f', '-');
  const status = { status: { hard: quota.spec.hard, used: { pods: '1' } } };
  await s.call('PATCH', '/api/v1/namespaces/default/resourcequotas/q/status', status, {
    'content-type': 'application/merge-patch+json',
  });
  expect(await cli.run('get', 'quota')).toMatch(/^NAME +REQUEST +LIMIT +AGE\nq +pods: 1\/2 +limits.cpu: 0\/4 +\d+s/);
  expect(await cli.run('get', 'pc')).toMatch(
    /^NAME +VALUE +GLOBAL-DEFAULT +AGE +PREEMPTIONPOLICY\nsystem-cluster-critical +2000000000 +false +\d+s +PreemptLowerPriority/,
  );
  expect(await cli.run('create', 'quota', 'best', '--hard=pods=1', '--scopes=BestEffort')).toBe(
    'resourcequota/best created\n',
  );
  expect(await cli.run('describe', 'quota', 'best')).toMatch(/Scopes: +BestEffort/);
});
