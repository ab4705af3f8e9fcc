import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { webcrypto } from 'node:crypto';
import { eventually } from '../../eventually.ts';
import { startServer, type Reply, type TestServer } from '../harness.ts';

let s: TestServer;
const user = (name: string, ...groups: string[]) => ({ token: name, user: { name, groups } });
beforeAll(async () => {
  s = await startServer(
    {
      enableAdmissionPlugins: [
        'OwnerReferencesPermissionEnforcement',
        'DenyServiceExternalIPs',
        'MesosResourceDefaults',
      ],
      disableAdmissionPlugins: ['ServiceAccount'],
    },
    {
      tokens: [
        { token: 'admin-token', user: { name: 'admin', groups: ['system:masters'] } },
        user('alice'),
        user('approver'),
        user('signer'),
        { token: 'n1', user: { name: 'system:node:n1', groups: ['system:nodes'] } },
      ],
    },
  );
});
afterAll(() => s.stop());

const as = (token: string) => ({ authorization: `Bearer ${token}` });
const merge = { 'content-type': 'application/merge-patch+json' };
const rbac = '/apis/rbac.authorization.k8s.io/v1';

/** Lets a user do something in the whole cluster. */
async function let_(name: string, rules: object[]): Promise<void> {
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name };
  await s.call('POST', `${rbac}/clusterroles`, { metadata: { name }, rules });
  await s.call('POST', `${rbac}/clusterrolebindings`, {
    metadata: { name },
    roleRef,
    subjects: [{ kind: 'User', name }],
  });
}

describe('certificate requests', () => {
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
  async function pem(subject: string): Promise<string> {
    const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const request = await Pkcs10CertificateRequestGenerator.create({
      name: subject,
      keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    });
    return Buffer.from(request.toString('pem')).toString('base64');
  }
  const ask = async (name: string, subject: string, more: object = {}, who = 'alice'): Promise<Reply> => {
    const spec = { request: await pem(subject), signerName: 'example.com/mine', usages: ['client auth'], ...more };
    return s.call('POST', path, { metadata: { name }, spec }, as(who));
  };
  const verdict = (type: string) => ({
    status: { conditions: [{ type, status: 'True', reason: 'Test', message: 'm' }] },
  });
  const approve = (name: string, who: string, type = 'Approved') =>
    s.call('PATCH', `${path}/${name}/approval`, verdict(type), { ...merge, ...as(who) });

  beforeAll(async () => {
    const group = 'certificates.k8s.io';
    const csr = (verbs: string[], ...subs: string[]) => ({
      verbs,
      apiGroups: [group],
      resources: subs.map((sub) => `certificatesigningrequests${sub}`),
    });
    const signers = (verb: string) => ({
      verbs: [verb],
      apiGroups: [group],
      resources: ['signers'],
      resourceNames: ['example.com/*'],
    });
    await let_('alice', [csr(['create', 'get'], ''), csr(['patch'], '/approval', '/status')]);
    await let_('approver', [csr(['patch'], '/approval'), signers('approve')]);
    await let_('signer', [csr(['patch'], '/status'), signers('sign')]);
    await eventually(async () => expect((await s.call('GET', `${path}/x`, undefined, as('alice'))).status).toBe(404));
  });

  test('say who made them, whatever they say', async () => {
    const made = await ask('one', 'CN=alice', { username: 'root', groups: ['system:masters'] });
    expect(made.json['spec']).toMatchObject({ username: 'alice', groups: ['system:authenticated'] });
  });

  test('are approved and signed only by who may for their signer', async () => {
    await ask('two', 'CN=alice');
    expect((await approve('two', 'alice')).json['message']).toBe(
      'certificatesigningrequests.certificates.k8s.io "two" is forbidden: user not permitted to approve requests with signerName "example.com/mine"',
    );
    const approved = await approve('two', 'approver');
    expect(approved.json['status']!['conditions']).toMatchObject([
      { type: 'Approved', lastUpdateTime: expect.any(String) },
    ]);
    expect((await approve('two', 'approver', 'Denied')).json).toMatchObject({
      code: 422,
      message: expect.stringContaining('updates may not remove a condition of type "Approved"'),
    });
    const certificate = Buffer.from('PEM').toString('base64');
    const sign = (who: string) =>
      s.call('PATCH', `${path}/two/status`, { status: { certificate } }, { ...merge, ...as(who) });
    expect((await sign('alice')).json['message']).toMatch('user not permitted to sign requests');
    expect((await sign('signer')).json['status']).toMatchObject({ certificate });
    const main = await s.call('PATCH', `${path}/two`, { spec: { signerName: 'example.com/other' }, status: {} }, merge);
    expect(main.json).toMatchObject({ spec: { signerName: 'example.com/mine' }, status: { certificate } });
  });

  test('make nobody a master, and are well formed', async () => {
    const signerName = 'kubernetes.io/kube-apiserver-client';
    expect((await ask('three', 'CN=a,O=system:masters', { signerName })).json['message']).toMatch(
      'with system:masters group is not allowed',
    );
    const message = async (more: object) => (await ask('four', 'CN=a', more)).json['message'];
    expect(await message({ request: Buffer.from('x').toString('base64') })).toMatch(
      'PEM block type must be CERTIFICATE REQUEST',
    );
    expect(await message({ usages: ['flying'] })).toMatch('spec.usages[0]: Unsupported value: "flying"');
    expect(await message({ usages: [] })).toMatch('spec.usages: Required value');
    expect(await message({ signerName: 'mine' })).toMatch('fully qualified domain and path');
    expect(await message({ expirationSeconds: 60 })).toMatch('may not specify a duration less than 600 seconds');
  });
});

describe('a kubelet', () => {
  const node = (name: string, labels: object = {}) => ({ metadata: { name, labels } });
  const say = async (method: string, path: string, body: object) =>
    (await s.call(method, path, body, { ...(method === 'PATCH' ? merge : {}), ...as('n1') })).json['message'];

  test('makes only its own node, without labels by which others would trust it', async () => {
    expect(await say('POST', '/api/v1/nodes', node('n2'))).toBe(
      'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
    );
    expect(await say('POST', '/api/v1/nodes', node('n1', { 'node-restriction.kubernetes.io/secure': 'yes' }))).toMatch(
      'is not allowed to set the following labels: node-restriction.kubernetes.io/secure',
    );
    const made = await s.call(
      'POST',
      '/api/v1/nodes',
      node('n1', { 'kubernetes.io/hostname': 'n1', mine: 'x' }),
      as('n1'),
    );
    expect(made.status).toBe(201);
    expect(made.json['spec']).toEqual({ taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }] });
  });

  test('changes neither its taints nor such labels', async () => {
    expect(await say('PATCH', '/api/v1/nodes/n1', { spec: { taints: [] } })).toMatch('is not allowed to modify taints');
    expect(
      await say('PATCH', '/api/v1/nodes/n1', { metadata: { labels: { 'kubernetes.io/role': 'master' } } }),
    ).toMatch('is not allowed to modify labels: kubernetes.io/role');
    expect(await say('PATCH', '/api/v1/nodes/n1', { metadata: { labels: { mine: 'y' } } })).toBeUndefined();
  });

  test('makes no pods but mirrors of its own, which open nothing to it', async () => {
    const mirror = (metadata: object = {}, spec: object = {}) =>
      say('POST', '/api/v1/namespaces/default/pods', {
        metadata: { name: 'm', annotations: { 'kubernetes.io/config.mirror': 'hash' }, ...metadata },
        spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x' }], ...spec },
      });
    expect(await mirror({ annotations: {} })).toMatch('can only create mirror pods');
    expect(await mirror({}, { nodeName: 'n2' })).toMatch('can only create pods with spec.nodeName set to itself');
    const owner = { apiVersion: 'v1', kind: 'Node', name: 'n2', uid: 'u' };
    expect(await mirror({ ownerReferences: [owner] })).toMatch('an owner reference set to itself');
    const volumes = [{ name: 'v', projected: { sources: [{ secret: { name: 's' } }] } }];
    expect(await mirror({}, { volumes })).toMatch('can not create pods that reference secrets');
    expect(await mirror({ ownerReferences: [{ ...owner, name: 'n1' }] })).toBeUndefined();
  });

  test('writes no pod’s labels by its status', async () => {
    const pod = { metadata: { name: 'p' }, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x' }] } };
    await s.call('POST', '/api/v1/namespaces/default/pods', pod);
    expect(
      await say('PATCH', '/api/v1/namespaces/default/pods/p/status', { metadata: { labels: { a: 'b' } } }),
    ).toMatch('cannot update labels through pod status');
  });
});

test('owners are set by who may delete, and block deletion by who may set finalizers', async () => {
  const inDefault = '/api/v1/namespaces/default';
  await let_('alice-owner', []);
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'maker' };
  const rules = [{ verbs: ['create', 'patch'], apiGroups: [''], resources: ['configmaps'] }];
  await s.call('POST', `${rbac}/clusterroles`, { metadata: { name: 'maker' }, rules });
  await s.call('POST', `${rbac}/clusterrolebindings`, {
    metadata: { name: 'maker' },
    roleRef,
    subjects: [{ kind: 'User', name: 'alice' }],
  });
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'o', uid: 'u' };
  const make = (name: string, more: object = {}) =>
    s.call('POST', `${inDefault}/configmaps`, { metadata: { name, ...more } }, as('alice'));
  await eventually(async () => expect((await make('plain')).status).toBeLessThan(410));
  const set = await s.call(
    'PATCH',
    `${inDefault}/configmaps/plain`,
    { metadata: { ownerReferences: [owner] } },
    { ...merge, ...as('alice') },
  );
  expect(set.json['message']).toMatch("cannot set an ownerRef on a resource you can't delete");
  const blocking = await make('blocking', { ownerReferences: [{ ...owner, blockOwnerDeletion: true }] });
  expect(blocking.json['message']).toMatch(
    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on",
  );
});

test('services take no outside addresses where that is denied', async () => {
  const spec = { ports: [{ port: 1 }], externalIPs: ['1.2.3.4'] };
  const answer = await s.call('POST', '/api/v1/namespaces/default/services', { metadata: { name: 's' }, spec });
  expect(answer.json['message']).toBe('services "s" is forbidden: Use of external IPs is denied by admission control.');
});

test('containers get what the first km gave them, where that is wanted', async () => {
  const container = (name: string, resources: object) => ({ name, image: 'x', resources });
  const containers = [
    container('a', {}),
    container('b', { requests: { cpu: '2' } }),
    container('c', { limits: { memory: '1' } }),
  ];
  const made = await s.call('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'sized' },
    spec: { containers },
  });
  expect(made.json['spec']!['containers']).toMatchObject([
    { resources: { requests: { cpu: '250m', memory: '64Mi' }, limits: { cpu: '250m', memory: '64Mi' } } },
    { resources: { requests: { cpu: '2', memory: '64Mi' }, limits: { cpu: '2', memory: '64Mi' } } },
    { resources: { requests: { cpu: '250m', memory: '4Mi' }, limits: { cpu: '250m', memory: '4Mi' } } },
  ]);
});

test('the system’s namespaces cannot be deleted, and plugins that are not there cannot be chosen', async () => {
  for (const name of ['default', 'kube-system', 'kube-public'])
    expect((await s.call('DELETE', `/api/v1/namespaces/${name}`)).json['message']).toBe(
      `namespaces "${name}" is forbidden: this namespace may not be deleted`,
    );
  await expect(startServer({ enableAdmissionPlugins: ['Nothing'] })).rejects.toThrow(
    'there is no admission plugin "Nothing"; there are AlwaysPullImages,',
  );
});
