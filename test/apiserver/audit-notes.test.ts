import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { startServer, type Json, type TestServer } from './harness.ts';
import { startWebhook, type WebhookServer } from './webhook-server.ts';

// What webhooks and policies tell the audit log.

const dir = mkdtempSync(join(tmpdir(), 'km-audit-notes-'));
const logFile = join(dir, 'audit.log');
let server: TestServer;
let hook: WebhookServer;
beforeAll(async () => {
  const policyFile = join(dir, 'policy.yaml');
  writeFileSync(
    policyFile,
    `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - { level: Request, resources: [{ group: '', resources: [configmaps] }], namespaces: [default] }
  - { level: Metadata }
`,
  );
  server = await startServer({ auditPolicyFile: policyFile, auditLogPath: logFile });
  hook = await startWebhook((path, { apiVersion, kind, request }) => {
    const answers: Record<string, object> = {
      '/add': {
        patchType: 'JSONPatch',
        patch: Buffer.from('[{"op":"add","path":"/data/added","value":"yes"}]').toString('base64'),
      },
      '/say': { auditAnnotations: { why: 'because' } },
      '/deny': { allowed: false, auditAnnotations: { rule: '7' } },
    };
    const response = answers[path];
    return response && { apiVersion, kind, response: { uid: request!['uid'], allowed: true, ...response } };
  });
});
afterAll(async () => {
  await server.stop();
  await hook.stop();
  rmSync(dir, { recursive: true, force: true });
});

const registration = '/apis/admissionregistration.k8s.io/v1';
const matching = (resource: string, namespace: string) => ({
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
  rule: { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: [resource] },
});
const post = async (path: string, body: object): Promise<void> => {
  const { status, json } = await server.call('POST', path, body);
  expect([status, json['message']]).toEqual([201, undefined]);
};

/** Creates it, and answers what the log then says of that. */
async function notesOf(path: string, name: string): Promise<Json> {
  await server.call('POST', `${path}?fieldManager=${name}`, { metadata: { name }, data: { a: '1' } });
  return eventually(() => {
    const lines = readFileSync(logFile, 'utf8').split('\n').filter(Boolean);
    const events = lines.map((line) => JSON.parse(line) as Json);
    const found = events.find((event) => String(event['requestURI']).endsWith(`fieldManager=${name}`));
    expect(found).toBeDefined();
    return found!['annotations']!;
  });
}

// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#mutating-webhook-auditing-annotations
describe('webhooks', () => {
  async function configure(type: 'Mutating' | 'Validating', ns: string, paths: Record<string, string>): Promise<void> {
    const { namespaceSelector, rule } = matching('configmaps', ns);
    await post(`${registration}/${type.toLowerCase()}webhookconfigurations`, {
      metadata: { name: `${ns}-${type.toLowerCase()}` },
      webhooks: Object.entries(paths).map(([name, path]) => ({
        name: `${name}.example.com`,
        clientConfig: { url: `${hook.url}${path}`, caBundle: hook.caBundle },
        rules: [rule],
        namespaceSelector,
        failurePolicy: path === '/silent' ? 'Ignore' : 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: 1,
      })),
    });
  }
  const configMapsIn = async (namespace: string): Promise<string> => {
    await post('/api/v1/namespaces', { metadata: { name: namespace } });
    return `/api/v1/namespaces/${namespace}/configmaps`;
  };
  const place = (webhook: string) => ({ configuration: 'hooked-mutating', webhook: `${webhook}.example.com` });

  test('say whether they changed the object, what they have to say, and that they were passed over', async () => {
    const path = await configMapsIn('hooked');
    await configure('Mutating', 'hooked', { add: '/add', say: '/say', silent: '/silent' });
    await configure('Validating', 'hooked', { deaf: '/silent' });
    const { 'authorization.k8s.io/decision': _decision, ...notes } = await notesOf(path, 'first');
    expect(notes).toEqual({
      'authorization.k8s.io/reason': '',
      'mutation.webhook.admission.k8s.io/round_0_index_0': JSON.stringify({ ...place('add'), mutated: true }),
      'mutation.webhook.admission.k8s.io/round_0_index_1': JSON.stringify({ ...place('say'), mutated: false }),
      'say.example.com/why': 'because',
      'mutation.webhook.admission.k8s.io/round_0_index_2': JSON.stringify({ ...place('silent'), mutated: false }),
      'failed-open.mutation.webhook.admission.k8s.io/round_0_index_2': 'silent.example.com',
      'failed-open.validating.webhook.admission.k8s.io/round_0_index_0': 'deaf.example.com',
    });
  });

  test('show the patch where the log tells what requests said', async () => {
    await configure('Mutating', 'default', { add: '/add' });
    const notes = await notesOf('/api/v1/namespaces/default/configmaps', 'patched');
    expect(JSON.parse(String(notes['patch.webhook.admission.k8s.io/round_0_index_0']))).toEqual({
      configuration: 'default-mutating',
      webhook: 'add.example.com',
      patch: [{ op: 'add', path: '/data/added', value: 'yes' }],
      patchType: 'JSONPatch',
    });
  });

  test('that refuse have their say too', async () => {
    const path = await configMapsIn('refused');
    await configure('Validating', 'refused', { deny: '/deny' });
    expect(await notesOf(path, 'denied')).toMatchObject({ 'deny.example.com/rule': '7' });
  });
});

// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#audit-annotations
describe('validating policies', () => {
  async function policy(ns: string, spec: object, validationActions: string[]): Promise<string> {
    await post('/api/v1/namespaces', { metadata: { name: ns } });
    const { namespaceSelector, rule } = matching('configmaps', ns);
    await post(`${registration}/validatingadmissionpolicies`, {
      metadata: { name: ns },
      spec: { matchConstraints: { namespaceSelector, resourceRules: [rule] }, ...spec },
    });
    await post(`${registration}/validatingadmissionpolicybindings`, {
      metadata: { name: `${ns}-binding` },
      spec: { policyName: ns, validationActions },
    });
    return `/api/v1/namespaces/${ns}/configmaps`;
  }

  test('note what their binding wants to be audited, and let the request go on', async () => {
    const validations = [{ expression: 'true' }, { expression: "object.data.a != '1'", message: 'no ones' }];
    const path = await policy('audited', { validations }, ['Audit']);
    const notes = await notesOf(path, 'a-one');
    expect(JSON.parse(String(notes['validation.policy.admission.k8s.io/validation_failure']))).toEqual([
      {
        message: 'no ones',
        policy: 'audited',
        binding: 'audited-binding',
        expressionIndex: 1,
        validationActions: ['Audit'],
      },
    ]);
    expect((await server.call('GET', `${path}/a-one`)).status).toBe(200);
  });

  test('note values of their own, even when they refuse; null and empty ones are left out', async () => {
    const auditAnnotations = [
      { key: 'a', valueExpression: "'a is ' + object.data.a" },
      { key: 'none', valueExpression: 'null' },
      { key: 'empty', valueExpression: "'  '" },
    ];
    const path = await policy('told', { auditAnnotations, validations: [{ expression: 'false' }] }, ['Deny']);
    const notes = await notesOf(path, 'refused-one');
    expect(notes).toMatchObject({ 'told/a': 'a is 1' });
    expect(Object.keys(notes).filter((key) => key.startsWith('told/'))).toEqual(['told/a']);
    expect((await server.call('GET', `${path}/refused-one`)).status).toBe(404);
  });

  test('whose value is no string fail as their failure policy says', async () => {
    const auditAnnotations = [{ key: 'a', valueExpression: 'object.data.b' }];
    const strict = await policy('strict', { auditAnnotations }, ['Deny']);
    const { status, json } = await server.call('POST', strict, { metadata: { name: 'x' }, data: { a: '1' } });
    expect([status, String(json['message'])]).toEqual([
      422,
      expect.stringContaining("valueExpression 'object.data.b' resulted in error: no such key: b"),
    ]);
    const lenient = await policy('lenient', { auditAnnotations, failurePolicy: 'Ignore' }, ['Deny']);
    await post(lenient, { metadata: { name: 'x' }, data: { a: '1' } });
  });
});
