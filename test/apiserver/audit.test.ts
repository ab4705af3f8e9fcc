import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AuditPolicy } from '../../apiserver/audit/policy.ts';
import { AuditSink } from '../../apiserver/audit/sink.ts';
import { attributes } from '../../apiserver/auth/authorize.ts';
import { silent } from '../../lib/log.ts';
import { eventually } from '../eventually.ts';
import { startServer, type Json, type TestServer } from './harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'km-audit-'));
const logFile = join(dir, 'audit.log');
const policyFile = join(dir, 'policy.yaml');
let s: TestServer;
beforeAll(async () => {
  writeFileSync(
    policyFile,
    `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - { level: None, nonResourceURLs: ['/healthz*'] }
  - { level: RequestResponse, resources: [{ group: '', resources: [configmaps] }], verbs: [create] }
  - { level: Request, resources: [{ group: '', resources: [pods] }], namespaces: [default] }
  - { level: Metadata }
`,
  );
  s = await startServer(
    { auditPolicyFile: policyFile, auditLogPath: logFile },
    {
      tokens: [
        { token: 'admin-token', user: { name: 'admin', groups: ['system:masters'] } },
        { token: 'alice', user: { name: 'alice', groups: [] } },
      ],
    },
  );
});
afterAll(async () => {
  await s.stop();
  rmSync(dir, { recursive: true, force: true });
});

const inDefault = '/api/v1/namespaces/default';
const events = (path: string): Json[] =>
  readFileSync(logFile, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Json)
    .filter((event) => (event['requestURI'] as unknown as string).startsWith(path));
const told = (path: string, count = 1) =>
  eventually(() => {
    const found = events(path);
    expect(found).toHaveLength(count);
    return found;
  });

test('a write is told with what was asked and answered', async () => {
  await s.call('POST', `${inDefault}/configmaps?fieldManager=me`, { metadata: { name: 'a' }, data: { k: 'v' } });
  const [event] = await told(`${inDefault}/configmaps`);
  expect(event).toMatchObject({
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'RequestResponse',
    stage: 'ResponseComplete',
    auditID: expect.stringMatching(/^[0-9a-f-]{36}$/),
    requestURI: `${inDefault}/configmaps?fieldManager=me`,
    verb: 'create',
    user: { username: 'admin', groups: ['system:masters', 'system:authenticated'] },
    sourceIPs: ['127.0.0.1'],
    objectRef: { resource: 'configmaps', namespace: 'default', apiVersion: 'v1' },
    responseStatus: { code: 201 },
    requestObject: { metadata: { name: 'a' }, data: { k: 'v' } },
    responseObject: { kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } },
    requestReceivedTimestamp: expect.stringMatching(/^\d{4}-.*\.\d{6}Z$/),
    annotations: { 'authorization.k8s.io/decision': 'allow' },
  });
});

test('who may not, who is not known and who acts for another are told', async () => {
  await s.call('GET', `${inDefault}/secrets/x`, undefined, { authorization: 'Bearer alice' });
  await s.call('GET', `${inDefault}/endpoints/y`, undefined, { authorization: 'Bearer nobody' });
  await s.call('GET', `${inDefault}/services/z`, undefined, { 'impersonate-user': 'bob' });
  expect((await told(`${inDefault}/secrets`))[0]).toMatchObject({
    level: 'Metadata',
    user: { username: 'alice' },
    responseStatus: { code: 403, status: 'Failure', message: expect.stringMatching('cannot get resource "secrets"') },
    annotations: { 'authorization.k8s.io/decision': 'forbid' },
  });
  expect((await told(`${inDefault}/endpoints`))[0]).toMatchObject({ user: {}, responseStatus: { code: 401 } });
  expect((await told(`${inDefault}/services`))[0]).toMatchObject({
    user: { username: 'admin' },
    impersonatedUser: { username: 'bob' },
  });
});

test('a request that fails is told with its body and the refusal, and what a namespace audits is noted', async () => {
  const labels = { 'pod-security.kubernetes.io/audit': 'baseline' };
  const merge = { 'content-type': 'application/merge-patch+json' };
  await s.call('PATCH', '/api/v1/namespaces/default', { metadata: { labels } }, merge);
  const pod = { metadata: { name: 'p' }, spec: { hostPID: true, containers: [{ name: 'c', image: 'x' }] } };
  await s.call('POST', `${inDefault}/pods`, pod);
  await s.call('POST', `${inDefault}/pods`, { metadata: { name: 'p' }, spec: { containers: [] } });
  const [good, bad] = await told(`${inDefault}/pods`, 2);
  expect(good!['annotations']).toMatchObject({
    'pod-security.kubernetes.io/audit-violations':
      'would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)',
  });
  expect(good!['responseObject']).toBeUndefined();
  expect(bad).toMatchObject({ requestObject: { spec: { containers: [] } }, responseStatus: { code: 422 } });
});

test('a watch is told when it starts and when it ends, and health checks never', async () => {
  await s.call('GET', '/healthz');
  await s.call('GET', '/api/v1/nodes?watch=1&timeoutSeconds=1');
  const stages = (await told('/api/v1/nodes', 2)).map((event) => event['stage'] as unknown);
  expect(stages).toEqual(['ResponseStarted', 'ResponseComplete']);
  expect(events('/healthz')).toEqual([]);
});

describe('a policy', () => {
  const user = { name: 'u', groups: ['g'] };
  const level = (rule: object, asked: object) =>
    new AuditPolicy([{ level: 'Request', ...rule }]).decide(user, attributes({ verb: 'get', ...asked })).level;

  test.each([
    [{}, { resource: 'pods' }, true],
    [{ users: ['other'] }, { resource: 'pods' }, false],
    [{ userGroups: ['g'] }, { resource: 'pods' }, true],
    [{ verbs: ['list'] }, { resource: 'pods' }, false],
    [{ namespaces: ['a'] }, { resource: 'pods', namespace: 'b' }, false],
    [{ namespaces: [''] }, { resource: 'nodes' }, true],
    [{ resources: [{ group: '' }] }, { resource: 'pods' }, true],
    [{ resources: [{ group: 'apps' }] }, { resource: 'pods' }, false],
    [{ resources: [{ resources: ['pods'] }] }, { resource: 'pods', subresource: 'log' }, false],
    [{ resources: [{ resources: ['pods/*'] }] }, { resource: 'pods', subresource: 'log' }, true],
    [{ resources: [{ resources: ['*/log'] }] }, { resource: 'pods', subresource: 'log' }, true],
    [{ resources: [{ resources: ['pods'], resourceNames: ['a'] }] }, { resource: 'pods', name: 'b' }, false],
    [{ nonResourceURLs: ['/api*'] }, { path: '/apis' }, true],
    [{ nonResourceURLs: ['/api*'] }, { resource: 'pods' }, false],
  ])('with %j sees %j: %s', (rule, asked, seen) => {
    expect(level(rule, asked)).toBe(seen ? 'Request' : 'None');
  });

  test('that is none is refused with a sentence', () => {
    const read = (text: string) => {
      writeFileSync(join(dir, 'bad.yaml'), text);
      return () => AuditPolicy.read(join(dir, 'bad.yaml'));
    };
    expect(read('kind: Pod')).toThrow('should hold a Policy of audit.k8s.io/v1');
    const head = 'apiVersion: audit.k8s.io/v1\nkind: Policy\n';
    expect(read(head)).toThrow('has no rules');
    expect(read(`${head}rules: [{ level: Some }]`)).toThrow('rules[0].level should be one of None, Metadata');
    expect(read(`${head}rules: [{ level: None, omitStages: [X] }]`)).toThrow('rules[0].omitStages should list some of');
  });
});

test('files that are full are put aside, the oldest forgotten', async () => {
  const path = join(dir, 'small.log');
  const sink = new AuditSink({ path, maxBytes: 10, backups: 2 }, silent);
  for (const n of [1, 2, 3, 4]) sink.write({ event: n });
  await sink.close();
  expect([1, 2, 3].map((n) => existsSync(`${path}.${n}`))).toEqual([true, true, false]);
  expect(readFileSync(`${path}.1`, 'utf8')).toBe('{"event":4}\n');
});
