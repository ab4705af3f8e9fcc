import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { listOf, startServer, type TestServer } from './harness.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const configurations = '/apis/admissionregistration.k8s.io/v1';
afterEach(async () => {
  for (const kind of ['mutating', 'validating'])
    for (const what of ['policies', 'policybindings'])
      await server.call('DELETE', `${configurations}/${kind}admission${what}`);
});

const rule = (resources: string[]) => ({
  operations: ['CREATE', 'UPDATE'],
  apiGroups: [''],
  apiVersions: ['v1'],
  resources,
});
const maps = '/api/v1/namespaces/default/configmaps';
let count = 0;
const make = (metadata: object = {}) =>
  server.call('POST', maps, { metadata: { name: `m${(count += 1)}`, ...metadata }, data: { a: '1' } });

// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
describe('validating admission policies', () => {
  async function policy(spec: object, binding: object = {}): Promise<void> {
    const made = await server.call('POST', `${configurations}/validatingadmissionpolicies`, {
      metadata: { name: 'demo' },
      spec: { matchConstraints: { resourceRules: [rule(['configmaps'])] }, ...spec },
    });
    expect([made.status, made.json['message']]).toEqual([201, undefined]);
    const bound = await server.call('POST', `${configurations}/validatingadmissionpolicybindings`, {
      metadata: { name: 'demo-binding' },
      spec: { policyName: 'demo', validationActions: ['Deny'], ...binding },
    });
    expect([bound.status, bound.json['message']]).toEqual([201, undefined]);
  }

  test('refuse with the expression, the message or the reason that they give', async () => {
    await policy({ validations: [{ expression: "object.data.a != '1'" }] });
    const { status, json } = await make({ name: 'judged' });
    expect(status).toBe(422);
    expect(json).toMatchObject({
      reason: 'Invalid',
      message:
        "configmaps \"judged\" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo-binding' denied request: failed expression: object.data.a != '1'",
    });
  });

  test('take variables, params and message expressions', async () => {
    await server.call('POST', maps, { metadata: { name: 'limits' }, data: { most: '0' } });
    await policy(
      {
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        matchConditions: [{ name: 'limited', expression: 'has(params.data.most)' }],
        variables: [{ name: 'most', expression: 'int(params.data.most)' }],
        validations: [
          {
            expression: 'size(object.data) <= variables.most',
            messageExpression: "'at most ' + string(variables.most)",
            reason: 'Forbidden',
          },
        ],
      },
      { paramRef: { name: 'limits', namespace: 'default', parameterNotFoundAction: 'Deny' } },
    );
    const { status, json } = await make();
    expect(status).toBe(403);
    expect(String(json['message'])).toContain('denied request: at most 0');
  });

  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library
  test('ask the authorizer about who sends the request, and about service accounts', async () => {
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      metadata: { name: 'makes-maps' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['create'] }],
    });
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      metadata: { name: 'breaks-glass' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['breakglass'], resourceNames: ['allowed'] }],
    });
    for (const role of ['makes-maps', 'breaks-glass'])
      await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
        metadata: { name: role },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jo' }],
      });
    await policy({
      variables: [{ name: 'may', expression: "authorizer.requestResource.check('breakglass')" }],
      validations: [
        { expression: 'variables.may.allowed() && !variables.may.errored()', reason: 'Forbidden' },
        {
          expression:
            "!authorizer.serviceAccount('default', 'nobody').group('').resource('pods').namespace('default').check('get').allowed()",
        },
        { expression: "!authorizer.path('/metrics').check('get').allowed()", message: 'may see metrics' },
      ],
    });
    const asJo = (name: string) => server.call('POST', maps, { metadata: { name } }, { 'impersonate-user': 'jo' });
    expect((await asJo('allowed')).status).toBe(201);
    expect((await asJo('other')).status).toBe(403);
    expect((await make()).json['message']).toMatch(/denied request: may see metrics$/);
  });

  test('see names as they are, dots and all', async () => {
    await policy({ validations: [{ expression: "object.metadata.labels['example.com/tier'] == 'web'" }] });
    expect((await make({ labels: { 'example.com/tier': 'db' } })).status).toBe(422);
    expect((await make({ labels: { 'example.com/tier': 'web' } })).status).toBe(201);
  });

  test('are refused when their expressions cannot be read', async () => {
    const { status, json } = await server.call('POST', `${configurations}/validatingadmissionpolicies`, {
      metadata: { name: 'unreadable' },
      spec: {
        matchConstraints: { resourceRules: [rule(['configmaps'])] },
        validations: [{ expression: 'object.data. ==' }],
      },
    });
    expect(status).toBe(422);
    expect(json['message']).toMatch(/spec.validations\[0\].expression: Invalid value: .*compilation failed/);
  });

  test('are refused when an expression names what there is not, or is not what it should be', async () => {
    const { json } = await server.call('POST', `${configurations}/validatingadmissionpolicies`, {
      metadata: { name: 'unknown' },
      spec: {
        matchConstraints: { resourceRules: [rule(['configmaps'])] },
        matchConditions: [{ name: 'a', expression: 'params.a == 1' }],
        variables: [
          { name: 'first', expression: 'variables.second' },
          { name: 'second', expression: 'object' },
        ],
        validations: [{ expression: 'size(object.data)', messageExpression: '1' }],
        auditAnnotations: [{ key: 'a', valueExpression: 'true' }],
      },
    });
    const causes = listOf<{ field: string; message: string }>(json['details']!['causes']);
    expect(
      causes.map(({ field, message }) => [field, message.split('\n')[0]!.replace(/^.*?: (?=must|comp)/s, '')]),
    ).toEqual([
      ['spec.matchConditions[0].expression', expect.stringContaining("undeclared reference to 'params'")],
      ['spec.variables[0].expression', expect.stringContaining("undefined field 'second'")],
      ['spec.validations[0].expression', 'must evaluate to bool'],
      ['spec.validations[0].messageExpression', 'must evaluate to string'],
      ['spec.auditAnnotations[0].valueExpression', 'must evaluate to one of the types: [string null_type]'],
    ]);
  });

  test('only warn where the binding says so, and pass what they do not match', async () => {
    await policy(
      {
        matchConditions: [{ name: 'mine', expression: "request.userInfo.username == 'admin'" }],
        validations: [{ expression: 'false', message: 'never' }],
      },
      { validationActions: ['Warn'] },
    );
    const { status, headers } = await make();
    expect(status).toBe(201);
    expect(headers['warning']).toContain(
      "Validation failed for ValidatingAdmissionPolicy 'demo' with binding 'demo-binding': never",
    );
    expect(
      (await server.call('POST', '/api/v1/namespaces/default/secrets', { metadata: { name: 's' } })).headers['warning'],
    ).toBeUndefined();
  });
});

// https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
describe('mutating admission policies', () => {
  const applying = (expression: string) => ({ patchType: 'ApplyConfiguration', applyConfiguration: { expression } });
  const patching = (expression: string) => ({ patchType: 'JSONPatch', jsonPatch: { expression } });
  async function policy(name: string, mutations: object[], more: object = {}, resource = 'configmaps'): Promise<void> {
    const spec = { matchConstraints: { resourceRules: [rule([resource])] }, reinvocationPolicy: 'Never', mutations };
    const made = await server.call('POST', `${configurations}/mutatingadmissionpolicies`, {
      metadata: { name },
      spec: { ...spec, ...more },
    });
    expect([made.status, made.json['message']]).toEqual([201, undefined]);
    const bound = await server.call('POST', `${configurations}/mutatingadmissionpolicybindings`, {
      metadata: { name: `${name}-binding` },
      spec: { policyName: name },
    });
    expect([bound.status, bound.json['message']]).toEqual([201, undefined]);
  }
  const dataOf = async (name: string) => (await make({ name })).json['data'];

  test('merge an apply configuration in: a sidecar stands beside what the pod has', async () => {
    const sidecar = `Object{
      spec: Object.spec{
        initContainers: [
          Object.spec.initContainers{name: "mesh-proxy", image: "mesh/proxy:v1.0.0", args: ["proxy"], restartPolicy: "Always"}
        ]
      }
    }`;
    await policy(
      'sidecar',
      [applying(sidecar)],
      {
        matchConditions: [
          {
            name: 'not-yet-there',
            expression: '!object.spec.?initContainers.orValue([]).exists(c, c.name == "mesh-proxy")',
          },
        ],
      },
      'pods',
    );
    const spec = { initContainers: [{ name: 'own', image: 'a' }], containers: [{ name: 'main', image: 'b' }] };
    const pods = '/api/v1/namespaces/default/pods';
    const { json } = await server.call('POST', pods, { metadata: { name: 'meshed' }, spec });
    expect(listOf(json['spec']!['initContainers']).map(({ name, image }) => [name, image])).toEqual([
      ['own', 'a'],
      ['mesh-proxy', 'mesh/proxy:v1.0.0'],
    ]);
    // What a policy adds is filled in as everything else is.
    expect(listOf(json['spec']!['initContainers'])[1]).toMatchObject({ terminationMessagePolicy: 'File' });
    // Nor is it beyond the limits of its namespace.
    await server.call('POST', '/api/v1/namespaces/default/limitranges', {
      metadata: { name: 'limits' },
      spec: { limits: [{ type: 'Container', max: { memory: '1Gi' }, default: { memory: '64Mi' } }] },
    });
    const limited = await server.call('POST', pods, { metadata: { name: 'limited' }, spec });
    expect([limited.status, limited.json['message']]).toEqual([201, undefined]);
    expect(listOf(limited.json['spec']!['initContainers'])[1]!['resources']).toMatchObject({
      limits: { memory: '64Mi' },
    });
  });

  test('are refused when they make something else than an object, or than patches', async () => {
    const { json } = await server.call('POST', `${configurations}/mutatingadmissionpolicies`, {
      metadata: { name: 'unfit' },
      spec: {
        matchConstraints: { resourceRules: [rule(['configmaps'])] },
        reinvocationPolicy: 'Never',
        mutations: [applying('1'), patching('"a"'), applying('Object{data: nothing}')],
      },
    });
    const causes = listOf<{ field: string; message: string }>(json['details']!['causes']);
    expect(causes.map(({ message }) => message)).toEqual([
      expect.stringMatching(/must evaluate to Object$/),
      expect.stringMatching(/must evaluate to list\(JSONPatch\)$/),
      expect.stringContaining("undeclared reference to 'nothing'"),
    ]);
  });

  test('may be of one shape or another', async () => {
    const [tiny, large] = [
      'Object{data: Object.data{tiny: "yes"}}',
      'Object{metadata: Object.metadata{labels: {"b": "c"}}}',
    ];
    await policy('shape', [applying(`size(object.data) < 2 ? ${tiny} : ${large}`)]);
    expect(await dataOf('shaped')).toMatchObject({ tiny: 'yes' });
  });

  test('patch by JSON patch, one after the other, and name keys with slashes', async () => {
    await policy('patch', [
      patching(`[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a/b"), value: "1"}]`),
      patching(`"a/b" in object.metadata.labels ? [JSONPatch{op: "add", path: "/data/seen", value: "yes"}] : []`),
    ]);
    const { json } = await make({ labels: { own: 'x' } });
    expect(json).toMatchObject({ metadata: { labels: { own: 'x', 'a/b': '1' } }, data: { a: '1', seen: 'yes' } });
  });

  test('run once more when a later one changed what they saw', async () => {
    const count = applying('Object{data: Object.data{count: string(size(object.data))}}');
    await policy('a-count', [count], { reinvocationPolicy: 'IfNeeded' });
    await policy('b-more', [applying('Object{data: Object.data{more: "x"}}')]);
    expect(await dataOf('counted')).toMatchObject({ count: '3' });
  });

  test('that are broken refuse, unless they are lenient: then nothing of them stays', async () => {
    const half = [applying('Object{data: Object.data{half: "done"}}'), applying('Object{data: object.nothing}')];
    await policy('broken', half);
    const { status, json } = await make({ name: 'refused' });
    expect([status, json['reason']]).toEqual([422, 'Invalid']);
    expect(String(json['message'])).toMatch(
      /^configmaps "refused" is forbidden: MutatingAdmissionPolicy 'broken' with binding 'broken-binding' denied request: expression/,
    );
    await server.call('DELETE', `${configurations}/mutatingadmissionpolicies/broken`);
    await policy('lenient', half, { failurePolicy: 'Ignore' });
    expect(await dataOf('let')).not.toHaveProperty('half');
  });

  test('that are lenient and broken leave what was sent to a subresource as it was', async () => {
    const pods = '/api/v1/namespaces/default/pods';
    const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'c' }] };
    await server.call('POST', pods, { metadata: { name: 'evicted' }, spec });
    await policy('evictions', [applying('Object{spec: object.nothing}')], { failurePolicy: 'Ignore' }, 'pods/eviction');
    const eviction = { metadata: { name: 'evicted', namespace: 'default' }, deleteOptions: { gracePeriodSeconds: 77 } };
    expect((await server.call('POST', `${pods}/evicted/eviction`, eviction)).status).toBe(201);
    const { json } = await server.call('GET', `${pods}/evicted`);
    expect(json['metadata']).toMatchObject({ deletionGracePeriodSeconds: 77 });
    await server.call('DELETE', `${configurations}/mutatingadmissionpolicies/evictions`);
    await server.call('DELETE', `${pods}/evicted?gracePeriodSeconds=0`);
  });

  test('make no object that its kind would refuse', async () => {
    await policy('wrong', [applying('Object{data: 7}')]);
    expect((await make({ name: 'never' })).status).toBe(422);
    await server.call('DELETE', `${configurations}/mutatingadmissionpolicies/wrong`);
    // Nor one that JSON has no words for.
    await policy('amount', [applying('Object{data: Object.data{a: quantity("1Gi")}}')]);
    expect(String((await make()).json['message'])).toMatch(/a Quantity cannot be written into an object/);
    await server.call('DELETE', `${configurations}/mutatingadmissionpolicies/amount`);
    await policy('span', [applying('Object{data: Object.data{a: duration("1h")}}')]);
    expect(await dataOf('spanned')).toMatchObject({ a: '3600s' });
  });
});
