import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { readTokenFile } from '../../../apiserver/auth/static-tokens.ts';
import { makeCa } from '../../pki.ts';
import { startServer, type Json, type TestServer } from '../harness.ts';

let s: TestServer;
beforeAll(async () => {
  s = await startServer(
    {},
    {
      tokens: [
        { token: 'admin-token', user: { name: 'admin', groups: ['system:masters'] } },
        { token: 'alice-token', user: { name: 'alice', groups: ['people'] } },
        { token: 'executor-token', user: { name: 'system:bootstrap:executor', groups: ['system:nodes'] } },
        { token: 'node-token', user: { name: 'system:node:n1', groups: ['system:nodes'] } },
      ],
    },
  );
});
afterAll(() => s.stop());

const as = (token: string) => ({ authorization: `Bearer ${token}` });
const nobody = { authorization: '' };

test('strangers may ask only whether the server is well', async () => {
  for (const path of ['/healthz', '/livez', '/readyz', '/version'])
    expect((await s.call('GET', path, undefined, nobody)).status).toBe(200);
  for (const path of ['/api', '/metrics', '/livez/etcd', '/openapi/v2']) {
    const answer = await s.call('GET', path, undefined, nobody);
    expect(answer.json).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: `forbidden: User "system:anonymous" cannot get path "${path}"`,
      reason: 'Forbidden',
      details: {},
      code: 403,
    });
  }
  expect((await s.call('GET', '/api/v1/namespaces', undefined, nobody)).json['message']).toBe(
    'namespaces is forbidden: User "system:anonymous" cannot list resource "namespaces" in API group "" at the cluster scope',
  );
});

test('a wrong token is refused everywhere', async () => {
  const refused = await s.call('GET', '/livez', undefined, as('wrong'));
  expect(refused.json).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'Unauthorized',
    reason: 'Unauthorized',
    code: 401,
  });
  expect((await s.call('GET', '/api/v1/namespaces', undefined, { authorization: 'Basic eDp5' })).status).toBe(401);
});

test('who may not ask is told so before a byte of the body is read', async () => {
  const statusOf = async (authorization: string) => {
    const asking = request(`${s.url}/api/v1/namespaces/default/secrets`, {
      method: 'POST',
      ca: s.ca.pem,
      headers: { authorization, 'content-type': 'application/json', 'content-length': 1_000_000 },
    });
    asking.on('error', () => undefined);
    asking.flushHeaders();
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];
    asking.destroy();
    return answer.statusCode;
  };
  expect(await statusOf('')).toBe(403);
  expect(await statusOf('Bearer wrong')).toBe(401);
  expect(await statusOf('Bearer alice-token')).toBe(403);
});

test('who is known but may not reads why', async () => {
  const one = await s.call('GET', '/api/v1/namespaces/default/pods/x', undefined, as('alice-token'));
  expect(one.json).toMatchObject({
    code: 403,
    reason: 'Forbidden',
    message:
      'pods "x" is forbidden: User "alice" cannot get resource "pods" in API group "" in the namespace "default"',
    details: { name: 'x', kind: 'pods' },
  });
  const all = await s.call('GET', '/apis/apps/v1/deployments', undefined, as('alice-token'));
  expect(all.json['message']).toBe(
    'deployments.apps is forbidden: User "alice" cannot list resource "deployments" in API group "apps" at the cluster scope',
  );
  const path = await s.call('GET', '/metrics', undefined, as('alice-token'));
  expect(path.json['message']).toBe('forbidden: User "alice" cannot get path "/metrics"');
  expect((await s.call('GET', '/apis', undefined, as('alice-token'))).status).toBe(200);
});

test('everybody who is known may ask who they are and what they may', async () => {
  const who = await s.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, as('alice-token'));
  expect(who.json).toMatchObject({
    status: { userInfo: { username: 'alice', groups: ['people', 'system:authenticated'] } },
  });
  const review = { spec: { resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'default' } } };
  const may = (token: string) =>
    s.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review, as(token));
  expect((await may('alice-token')).json).toMatchObject({ status: { allowed: false } });
  expect((await may('admin-token')).json).toMatchObject({ status: { allowed: true } });
});

test('nodes do what kubelets do, and each only on its own node', async () => {
  const node = (name: string) => ({ metadata: { name } });
  expect((await s.call('POST', '/api/v1/nodes', node('n1'), as('executor-token'))).status).toBe(201);
  expect((await s.call('POST', '/api/v1/nodes', node('n2'), as('executor-token'))).status).toBe(201);
  const status = { status: { capacity: { cpu: '4' } } };
  const merge = { 'content-type': 'application/merge-patch+json' };
  const patch = async (name: string, token: string) =>
    (await s.call('PATCH', `/api/v1/nodes/${name}/status`, status, { ...merge, ...as(token) })).status;
  expect(await patch('n1', 'node-token')).toBe(200);
  expect(await patch('n2', 'node-token')).toBe(403);
  expect(await patch('n2', 'executor-token')).toBe(200);
  expect(
    (await s.call('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1', undefined, as('node-token'))).status,
  ).toBe(200);
  expect((await s.call('DELETE', '/api/v1/nodes/n1', undefined, as('node-token'))).status).toBe(403);
  expect((await s.call('POST', '/api/v1/namespaces', node('x'), as('node-token'))).status).toBe(403);
});

describe('a kubelet is refused what is not its business:', () => {
  const inDefault = '/api/v1/namespaces/default';
  const message = async (method: string, path: string, token: string, body?: unknown) => {
    const type = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {};
    const answer = await s.call(method, path, body, { ...type, ...as(token) });
    return answer.status === 403 ? answer.json['message'] : answer.status;
  };
  const forbidden = (
    what: string,
    who: string,
    verb: string,
    resource: string,
    group: string,
    where: string,
    why = '',
  ) =>
    `${what} is forbidden: User "${who}" cannot ${verb} resource "${resource}" in API group "${group}" ${where}${why}`;
  const here = 'in the namespace "default"';
  const everywhere = 'at the cluster scope';
  const shared = 'system:bootstrap:executor';

  beforeAll(async () => {
    const pod = (name: string, nodeName: string, secret: string) => ({
      metadata: { name },
      spec: {
        ...(nodeName ? { nodeName } : {}),
        containers: [{ name: 'c', image: 'x', envFrom: [{ secretRef: { name: secret } }] }],
        volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: `map-${name}` } }] } }],
      },
    });
    for (const [name, node] of Object.entries({ mine: 'n1', theirs: 'n2', waiting: '' })) {
      expect((await s.call('POST', `${inDefault}/pods`, pod(name, node, `secret-${name}`))).status).toBe(201);
      expect((await s.call('POST', `${inDefault}/secrets`, { metadata: { name: `secret-${name}` } })).status).toBe(201);
    }
  });

  test('secrets that no pod of its names, and lists of them', async () => {
    expect(await message('GET', `${inDefault}/secrets/secret-mine`, 'node-token')).toBe(200);
    expect(await message('GET', `${inDefault}/secrets/secret-theirs`, 'node-token')).toBe(
      forbidden(
        'secrets "secret-theirs"',
        'system:node:n1',
        'get',
        'secrets',
        '',
        here,
        ": no relationship found between node 'n1' and this object",
      ),
    );
    expect(await message('GET', `${inDefault}/configmaps/map-mine`, 'node-token')).toBe(404);
    expect(await message('GET', '/api/v1/secrets', 'executor-token')).toBe(
      forbidden('secrets', shared, 'list', 'secrets', '', everywhere, ': No Object name found'),
    );
    expect(await message('GET', `${inDefault}/secrets/secret-theirs`, 'executor-token')).toBe(200);
    expect(await message('GET', `${inDefault}/secrets/secret-waiting`, 'executor-token')).toMatch(
      'no relationship found',
    );
    expect(await message('POST', `${inDefault}/secrets`, 'executor-token', { metadata: { name: 'x' } })).toMatch(
      'cannot create',
    );
  });

  test('pods that are not bound to it', async () => {
    const status = { status: { phase: 'Running' } };
    expect(await message('PATCH', `${inDefault}/pods/mine/status`, 'node-token', status)).toBe(200);
    expect(await message('PATCH', `${inDefault}/pods/theirs/status`, 'node-token', status)).toBe(
      forbidden(
        'pods "theirs"',
        'system:node:n1',
        'patch',
        'pods/status',
        '',
        here,
        ': node "n1" can only update pod status for pods with spec.nodeName set to itself',
      ),
    );
    expect(await message('DELETE', `${inDefault}/pods/theirs`, 'node-token')).toMatch('node "n1" can only delete pods');
    expect(await message('GET', `${inDefault}/pods/theirs`, 'node-token')).toMatch('no relationship found');
    expect(await message('PATCH', `${inDefault}/pods/waiting/status`, 'executor-token', status)).toMatch(
      'can only update',
    );
    expect(await message('PATCH', `${inDefault}/pods/theirs/status`, 'executor-token', status)).toBe(200);
    expect(await message('GET', '/api/v1/pods', 'executor-token')).toBe(
      forbidden(
        'pods',
        shared,
        'list',
        'pods',
        '',
        everywhere,
        ': can only list/watch pods with spec.nodeName field selector',
      ),
    );
    expect(await message('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn2', 'node-token')).toMatch(
      'can only list',
    );
    expect(
      await message('GET', '/api/v1/pods?watch=1&timeoutSeconds=1&fieldSelector=spec.nodeName!%3Dn1', 'node-token'),
    ).toMatch('can only list');
  });

  test('tokens of accounts that no pod of its runs as', async () => {
    await s.call('POST', `${inDefault}/serviceaccounts`, { metadata: { name: 'default' } });
    const ask = (account: string, token: string) =>
      message('POST', `${inDefault}/serviceaccounts/${account}/token`, token, {});
    // 501: this server has no key to sign tokens with.
    expect(await ask('default', 'node-token')).toBe(501);
    expect(await ask('other', 'node-token')).toMatch("no relationship found between node 'n1' and this object");
    expect(await message('GET', `${inDefault}/serviceaccounts/default`, 'node-token')).toMatch('cannot get');
  });

  test('certificate requests are everybody’s to make, and questions to ask', async () => {
    const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
    expect(await message('GET', requests, 'node-token')).toBe(200);
    expect(await message('DELETE', `${requests}/x`, 'node-token')).toMatch('cannot delete');
    const review = { spec: { user: 'x', resourceAttributes: { verb: 'get', resource: 'pods' } } };
    expect(await message('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', 'node-token', review)).toBe(201);
  });

  test('writes of anything else', async () => {
    const named = { metadata: { name: 'x' } };
    for (const token of ['executor-token', 'node-token'])
      for (const [method, path] of [
        ['PUT', `${inDefault}/pods/mine`],
        ['POST', `${inDefault}/pods/mine/binding`],
        ['POST', `${inDefault}/pods/mine/eviction`],
        ['POST', `${inDefault}/pods/mine/exec`],
        ['DELETE', `${inDefault}/pods`],
        ['POST', `${inDefault}/configmaps`],
        ['PATCH', `${inDefault}/services/kubernetes`],
        ['POST', '/apis/apps/v1/namespaces/default/deployments'],
        ['GET', '/apis/apps/v1/deployments'],
        ['DELETE', '/api/v1/nodes/n1'],
        ['POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases'],
        ['DELETE', `${inDefault}/events`],
        ['GET', '/metrics'],
      ] as const)
        expect(await message(method, path, token, method === 'GET' ? undefined : named)).toMatch('forbidden');
    expect(
      await message('POST', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', 'node-token', {
        metadata: { name: 'n1' },
      }),
    ).toBe(201);
    expect(
      await message('PATCH', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2', 'node-token', named),
    ).toMatch('can only access node lease with the same name');
  });
});

describe('client certificates', () => {
  async function whoIs(
    ca: TestServer['ca'],
    name: string,
    ...groups: string[]
  ): Promise<{ status: number; json: Json }> {
    const { cert, key } = await ca.issue(name, ...groups);
    const agent = new Agent({ connect: { ca: s.ca.pem, cert, key } });
    const answer = await agent.request({
      origin: s.url,
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    const json = (await answer.body.json()) as Json;
    await agent.close();
    return { status: answer.statusCode, json };
  }

  test('of the cluster name a user and groups', async () => {
    const { json } = await whoIs(s.ca, 'bob', 'system:masters', 'devs');
    expect(json).toMatchObject({
      status: { userInfo: { username: 'bob', groups: ['system:masters', 'devs', 'system:authenticated'] } },
    });
  });

  test('of another authority name nobody', async () => {
    expect((await whoIs(await makeCa('other-ca'), 'bob', 'system:masters')).status).toBe(401);
  });
});

test('reads token files, and says which line is wrong', () => {
  const path = join(s.dir, 'tokens.csv');
  writeFileSync(path, 'abc,alice,u1,"a,b"\n# comment\n\ndef,bob,u2\n');
  expect(readTokenFile(path)).toEqual([
    { token: 'abc', user: { name: 'alice', uid: 'u1', groups: ['a', 'b'] } },
    { token: 'def', user: { name: 'bob', uid: 'u2', groups: [] } },
  ]);
  writeFileSync(path, 'abc\n');
  expect(() => readTokenFile(path)).toThrow('should read token,user,uid');
});

test('a taken port is named', async () => {
  await expect(startServer({ port: s.port })).rejects.toThrow(`port ${s.port} on 127.0.0.1 is taken`);
});
