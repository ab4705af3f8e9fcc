import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Agent } from 'undici';
import { makeCa, type TestAuthority } from '../../pki.ts';
import { startServer, type Json, type TestServer } from '../harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'km-users-'));
const write = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A small HTTPS server that answers JSON. */
async function serve(ca: TestAuthority, answer: (path: string, body: string) => object): Promise<[Server, string]> {
  const { cert, key } = await ca.issue('localhost');
  const server = createServer({ cert, key }, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      try {
        response.end(JSON.stringify(answer(request.url ?? '', body)));
      } catch {
        response.writeHead(500).end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return [server, `https://127.0.0.1:${(server.address() as AddressInfo).port}`];
}

const reviews = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
async function whoIs(s: TestServer, headers: Record<string, string>): Promise<Json | number> {
  const answer = await s.call('POST', reviews, {}, headers);
  return answer.status === 201 ? answer.json['status']!['userInfo']! : answer.status;
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('users of an OpenID Connect provider', () => {
  let s: TestServer;
  let provider: Server;
  let issuer: string;
  let keys: { kid: string; privateKey: Parameters<SignJWT['sign']>[0]; jwk: object }[];

  const newKey = async (kid: string) => {
    const { publicKey, privateKey } = await generateKeyPair('RS256');
    return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'RS256' } };
  };
  const idToken = (claims: object, { kid, privateKey } = keys[0]!, audience = 'km') =>
    new SignJWT({ sub: '7', name: 'anna', groups: ['devs'], team: 'a', ...claims })
      .setProtectedHeader({ alg: 'RS256', kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime('5m')
      .sign(privateKey);

  beforeAll(async () => {
    const ca = await makeCa('oidc-ca');
    keys = [await newKey('one')];
    [provider, issuer] = await serve(ca, (path) =>
      path === '/keys' ? { keys: keys.map(({ jwk }) => jwk) } : { issuer, jwks_uri: `${issuer}/keys` },
    );
    s = await startServer({
      oidcIssuerUrl: issuer,
      oidcClientId: 'km',
      oidcCaFile: write('oidc.pem', ca.pem),
      oidcUsernameClaim: 'name',
      oidcUsernamePrefix: 'oidc:',
      oidcGroupsClaim: 'groups',
      oidcGroupsPrefix: 'oidc:',
      oidcRequiredClaim: ['team=a'],
    });
  });
  afterAll(async () => {
    await s.stop();
    provider.closeAllConnections();
    provider.close();
  });

  test('are named by their claims, with prefixes', async () => {
    expect(await whoIs(s, bearer(await idToken({})))).toEqual({
      username: 'oidc:anna',
      groups: ['oidc:devs', 'system:authenticated'],
    });
  });

  test('are refused with a token for others, without a required claim or with a strange signature', async () => {
    expect(await whoIs(s, bearer(await idToken({}, keys[0], 'other')))).toBe(401);
    expect(await whoIs(s, bearer(await idToken({ team: 'b' })))).toBe(401);
    expect(await whoIs(s, bearer(await idToken({ name: undefined })))).toBe(401);
    expect(await whoIs(s, bearer(await idToken({}, { ...(await newKey('one')) })))).toBe(401);
  });
});

describe('users whom a proxy names', () => {
  let s: TestServer;
  let ca: TestAuthority;
  beforeAll(async () => {
    ca = await makeCa('proxy-ca');
    s = await startServer({
      requestheaderClientCaFile: write('proxy.pem', ca.pem),
      requestheaderAllowedNames: ['front'],
    });
  });
  afterAll(() => s.stop());

  async function through(authority: TestAuthority, name: string, headers: Record<string, string>) {
    const { cert, key } = await authority.issue(name);
    const agent = new Agent({ connect: { ca: s.ca.pem, cert, key } });
    const answer = await agent.request({
      origin: s.url,
      path: reviews,
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json', ...headers },
    });
    const json = (await answer.body.json()) as Json;
    await agent.close();
    return answer.statusCode === 201 ? json['status']!['userInfo'] : answer.statusCode;
  }
  const told = { 'x-remote-user': 'ann', 'x-remote-group': 'a', 'x-remote-extra-scope': 'read' };

  test('are believed of the proxy that has the right name and signer', async () => {
    expect(await through(ca, 'front', told)).toEqual({
      username: 'ann',
      groups: ['a', 'system:authenticated'],
      extra: { scope: ['read'] },
    });
  });

  test('are believed of nobody else', async () => {
    expect(await through(ca, 'other', told)).toBe(401);
    expect(await through(s.ca, 'front', told)).toMatchObject({ username: 'front' });
    expect(await whoIs(s, told)).toMatchObject({ username: 'admin' });
  });

  test('servers behind APIServices find in a ConfigMap whom to believe', async () => {
    const path = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';
    const { json } = await s.call('GET', path);
    expect(json['data']).toEqual({
      'client-ca-file': s.ca.pem,
      'requestheader-client-ca-file': ca.pem,
      'requestheader-allowed-names': '["front"]',
      'requestheader-username-headers': '["X-Remote-User"]',
      'requestheader-uid-headers': '["X-Remote-Uid"]',
      'requestheader-group-headers': '["X-Remote-Group"]',
      'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
    });
  });

  test('and the certificate of a proxy is no user’s', async () => {
    expect(await through(ca, 'front', {})).toBe(401);
  });
});

describe('machines that join', () => {
  let s: TestServer;
  beforeAll(async () => {
    s = await startServer({ enableBootstrapTokenAuth: true });
  });
  afterAll(() => s.stop());
  const put = (id: string, data: Record<string, string>, type = 'bootstrap.kubernetes.io/token') =>
    s.call('POST', '/api/v1/namespaces/kube-system/secrets', {
      metadata: { name: `bootstrap-token-${id}` },
      type,
      stringData: { 'token-id': id, 'token-secret': '0123456789abcdef', ...data },
    });
  const use = { 'usage-bootstrap-authentication': 'true' };

  test('show a token of kube-system', async () => {
    await put('abcdef', { ...use, 'auth-extra-groups': 'system:bootstrappers:workers' });
    expect(await whoIs(s, bearer('abcdef.0123456789abcdef'))).toEqual({
      username: 'system:bootstrap:abcdef',
      groups: ['system:bootstrappers', 'system:bootstrappers:workers', 'system:authenticated'],
    });
    expect(await whoIs(s, bearer('abcdef.0123456789abcdee'))).toBe(401);
  });

  test.each([
    ['noauth', {}, undefined],
    ['oldold', { ...use, expiration: '2020-01-01T00:00:00Z' }, undefined],
    ['opaque', use, 'Opaque'],
    ['groups', { ...use, 'auth-extra-groups': 'system:masters' }, undefined],
  ])('are refused with a bad one: %s', async (id, data, type) => {
    expect((await put(id, data as Record<string, string>, type)).status).toBe(201);
    expect(await whoIs(s, bearer(`${id}.0123456789abcdef`))).toBe(401);
  });
});

describe('webhooks', () => {
  let s: TestServer;
  let hook: Server;
  const asked: Json[] = [];
  beforeAll(async () => {
    const ca = await makeCa('hook-ca');
    let url: string;
    [hook, url] = await serve(ca, (_path, body) => {
      const question = JSON.parse(body) as Json;
      asked.push(question);
      const spec = question['spec'] as unknown as { token?: string; resourceAttributes?: { verb?: string } };
      if (spec.resourceAttributes?.verb === 'break') throw new Error('broken');
      const status =
        (question['kind'] as unknown) === 'TokenReview'
          ? { authenticated: spec.token === 'good', user: { username: 'zoe', groups: ['hooked'] } }
          : { allowed: spec.resourceAttributes?.verb === 'list', reason: 'the hook says so' };
      return { ...question, status };
    });
    const kubeconfig = write(
      'hook.kubeconfig',
      JSON.stringify({
        clusters: [{ name: 'h', cluster: { server: url, 'certificate-authority': write('hook.pem', ca.pem) } }],
        users: [],
        contexts: [{ name: 'h', context: { cluster: 'h', user: '' } }],
        'current-context': 'h',
      }),
    );
    s = await startServer({
      authenticationTokenWebhookConfigFile: kubeconfig,
      authorizationMode: ['RBAC', 'Webhook'],
      authorizationWebhookConfigFile: kubeconfig,
    });
  });
  afterAll(async () => {
    await s.stop();
    hook.closeAllConnections();
    hook.close();
  });

  test('know tokens, and are asked once', async () => {
    expect(await whoIs(s, bearer('good'))).toEqual({ username: 'zoe', groups: ['hooked', 'system:authenticated'] });
    expect(await whoIs(s, bearer('good'))).toMatchObject({ username: 'zoe' });
    expect(await whoIs(s, bearer('bad'))).toBe(401);
    expect(asked.filter(({ spec }) => (spec!['token'] as unknown) === 'good')).toHaveLength(1);
  });

  test('are waited for by expressions that ask them', async () => {
    const registration = '/apis/admissionregistration.k8s.io/v1';
    await s.call('POST', `${registration}/validatingadmissionpolicies`, {
      metadata: { name: 'asks' },
      spec: {
        matchConstraints: {
          resourceRules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
        },
        variables: [{ name: 'pods', expression: "authorizer.serviceAccount('a', 'b').group('').resource('pods')" }],
        validations: [
          { expression: "variables.pods.check('list').allowed() || object.metadata.name == 'never'" },
          { expression: "!variables.pods.check('get').allowed()" },
          { expression: "variables.pods.check('break').errored()" },
          { expression: 'false', messageExpression: "variables.pods.check('watch').reason()" },
        ],
      },
    });
    await s.call('POST', `${registration}/validatingadmissionpolicybindings`, {
      metadata: { name: 'asks' },
      spec: { policyName: 'asks', validationActions: ['Deny'] },
    });
    const { json } = await s.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'm' } });
    expect(json['message']).toMatch(/denied request: the hook says so$/);
    await s.call('DELETE', `${registration}/validatingadmissionpolicybindings/asks`);
  });

  test('that break keep nobody from answering: the review says what went wrong', async () => {
    const { json } = await s.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      spec: { user: 'x', resourceAttributes: { verb: 'break', resource: 'pods' } },
    });
    expect(json['status']).toMatchObject({ allowed: false, evaluationError: expect.stringMatching(/answered 500$/) });
  });

  test('decide what RBAC does not allow', async () => {
    expect(
      (await s.call('GET', '/api/v1/nodes?fieldSelector=metadata.name%3Da', undefined, bearer('good'))).status,
    ).toBe(200);
    expect(asked.at(-1)).toMatchObject({
      kind: 'SubjectAccessReview',
      spec: {
        user: 'zoe',
        groups: ['hooked', 'system:authenticated'],
        resourceAttributes: {
          verb: 'list',
          version: 'v1',
          resource: 'nodes',
          fieldSelector: { rawSelector: 'metadata.name=a' },
        },
      },
    });
    expect((await s.call('GET', '/api/v1/nodes/a', undefined, bearer('good'))).json['message']).toMatch(
      /cluster scope: the hook says so$/,
    );
    const before = asked.length;
    await s.call('GET', '/api/v1/nodes/a', undefined, bearer('good'));
    expect(asked).toHaveLength(before);
    const rules = await s.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
      spec: { namespace: 'default' },
    });
    expect(rules.json['status']).toMatchObject({
      incomplete: true,
      evaluationError: 'webhook authorizer does not support user rule resolution',
    });
  });
});

describe('without credentials', () => {
  test('nobody is let in where strangers are not', async () => {
    const s = await startServer({ anonymousAuth: false });
    expect((await s.call('GET', '/healthz', undefined, { authorization: '' })).status).toBe(401);
    await s.stop();
  });
});

describe('impersonation', () => {
  let s: TestServer;
  beforeAll(async () => {
    s = await startServer(
      {},
      {
        tokens: [
          { token: 'admin-token', user: { name: 'admin', groups: ['system:masters'] } },
          { token: 'helper', user: { name: 'helper', groups: [] } },
        ],
      },
    );
  });
  afterAll(() => s.stop());

  test('makes another of an administrator: user, groups, uid and the rest', async () => {
    expect(
      await whoIs(s, {
        'impersonate-user': 'jane',
        'impersonate-group': 'devs',
        'impersonate-uid': 'u1',
        'impersonate-extra-reason': 'test',
        'impersonate-extra-acme.com%2Fproject': 'x',
      }),
    ).toEqual({
      username: 'jane',
      uid: 'u1',
      groups: ['devs', 'system:authenticated'],
      extra: { reason: ['test'], 'acme.com/project': ['x'] },
    });
    expect(await whoIs(s, { 'impersonate-user': 'system:serviceaccount:a:b' })).toMatchObject({
      groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'],
    });
    expect(await whoIs(s, { 'impersonate-user': 'system:anonymous' })).toBe(403);
    expect(await whoIs(s, { 'impersonate-group': 'devs' })).toBe(400);
  });

  test('is refused to who may not, in Kubernetes’ words', async () => {
    const say = async (headers: Record<string, string>) =>
      (await s.call('GET', '/api/v1/nodes', undefined, { ...bearer('helper'), ...headers })).json['message'];
    expect(await say({ 'impersonate-user': 'jane' })).toBe(
      'users "jane" is forbidden: User "helper" cannot impersonate resource "users" in API group "" at the cluster scope',
    );
    expect(await say({ 'impersonate-user': 'system:serviceaccount:a:b' })).toBe(
      'serviceaccounts "b" is forbidden: User "helper" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "a"',
    );
  });
});
