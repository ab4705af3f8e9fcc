import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../../eventually.ts';
import { startServer, type Json, type TestServer, listOf } from '../harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'km-admission-'));
let s: TestServer;
beforeAll(async () => {
  const keyFile = join(dir, 'key.pem');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }));
  s = await startServer({
    disableAdmissionPlugins: [],
    enableAdmissionPlugins: [
      'AlwaysPullImages',
      'PodNodeSelector',
      'PodTolerationRestriction',
      'ExtendedResourceToleration',
    ],
    serviceAccountIssuer: ['https://issuer'],
    serviceAccountSigningKeyFile: keyFile,
  });
  for (const name of ['plain', 'bound', 'small', 'safe']) await namespace(name);
});
afterAll(async () => {
  await s.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function namespace(name: string, metadata: object = {}, account: object = {}): Promise<void> {
  expect((await s.call('POST', '/api/v1/namespaces', { metadata: { name, ...metadata } })).status).toBe(201);
  const made = { metadata: { name: 'default' }, ...account };
  expect((await s.call('POST', `/api/v1/namespaces/${name}/serviceaccounts`, made)).status).toBe(201);
}

const container = (more: object = {}) => ({ name: 'c', image: 'nginx:1', ...more });
const pod = (name: string, spec: object = {}) => ({ metadata: { name }, spec: { containers: [container()], ...spec } });
const post = (where: string, body: object, path = 'pods') =>
  s.call('POST', `/api/v1/namespaces/${where}/${path}`, body);
async function specOf(where: string, body: object): Promise<Json> {
  const answer = await post(where, body);
  expect([answer.status, answer.json['message']]).toEqual([201, undefined]);
  return answer.json['spec']!;
}
const refused = async (where: string, body: object) => (await post(where, body)).json['message'];

describe('a pod’s service account', () => {
  test('gives it a token, the CA and its namespace in a volume', async () => {
    const spec = await specOf('plain', pod('p', { initContainers: [container({ name: 'i' })] }));
    const name = listOf<{ name: string }>(spec['volumes'])[0]!.name;
    expect(name).toMatch(/^kube-api-access-[a-z0-9]{5}$/);
    expect(spec['volumes']).toEqual([
      {
        name,
        projected: {
          defaultMode: 420,
          sources: [
            { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            {
              downwardAPI: {
                items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
              },
            },
          ],
        },
      },
    ]);
    const mounts = [{ name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }];
    for (const list of ['containers', 'initContainers'])
      expect(listOf<object>(spec[list])[0]).toMatchObject({ volumeMounts: mounts });
    expect(spec).toMatchObject({ serviceAccountName: 'default', serviceAccount: 'default' });
  });

  test('does not where pod or account say no, or something is mounted there', async () => {
    expect((await specOf('plain', pod('no', { automountServiceAccountToken: false })))['volumes']).toBeUndefined();
    const own = { name: 'own', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' };
    const spec = await specOf(
      'plain',
      pod('own', { volumes: [{ name: 'own', emptyDir: {} }], containers: [container({ volumeMounts: [own] })] }),
    );
    expect(spec['volumes']).toHaveLength(1);
    await namespace('silent', {}, { automountServiceAccountToken: false, imagePullSecrets: [{ name: 'registry' }] });
    const silent = await specOf('silent', pod('p'));
    expect(silent['volumes']).toBeUndefined();
    expect(silent['imagePullSecrets']).toEqual([{ name: 'registry' }]);
  });

  test('must be there', async () => {
    expect(await refused('plain', pod('x', { serviceAccountName: 'nobody' }))).toBe(
      'pods "x" is forbidden: error looking up service account plain/nobody: serviceaccount "nobody" not found',
    );
  });

  test('may come a moment later', async () => {
    await s.call('POST', '/api/v1/namespaces', { metadata: { name: 'late' } });
    const waiting = post('late', pod('p'));
    await post('late', { metadata: { name: 'default' } }, 'serviceaccounts');
    expect((await waiting).status).toBe(201);
  });
});

describe('limit ranges', () => {
  beforeAll(async () => {
    const limits = [
      {
        type: 'Container',
        max: { cpu: '1' },
        min: { cpu: '50m' },
        default: { cpu: '500m' },
        maxLimitRequestRatio: { cpu: '4' },
      },
      { type: 'Pod', max: { memory: '1Gi' } },
      { type: 'PersistentVolumeClaim', max: { storage: '10Gi' } },
    ];
    expect((await post('bound', { metadata: { name: 'limits' }, spec: { limits } }, 'limitranges')).status).toBe(201);
  });
  const resources = (requests: object, limits: object) => ({
    containers: [container({ resources: { requests, limits } })],
  });

  test('give containers what they do not say', async () => {
    await eventually(async () => {
      const answer = await post('bound', pod('dry', resources({}, { memory: '1Gi' })), 'pods?dryRun=All');
      expect(listOf(answer.json['spec']!['containers'])[0]!['resources']).toEqual({
        limits: { cpu: '500m', memory: '1Gi' },
        requests: { cpu: '500m', memory: '1Gi' },
      });
      expect(answer.json['metadata']!['annotations']).toEqual({
        'kubernetes.io/limit-ranger': 'LimitRanger plugin set: cpu request for container c; cpu limit for container c',
      });
    });
  });

  test.each([
    [{ cpu: '20m' }, { cpu: '80m', memory: '1' }, 'minimum cpu usage per Container is 50m, but request is 20m'],
    [{ cpu: '500m' }, { cpu: '2', memory: '1' }, 'maximum cpu usage per Container is 1, but limit is 2'],
    [
      { cpu: '100m' },
      { cpu: '1', memory: '1' },
      'cpu max limit to request ratio per Container is 4, but provided ratio is 10.000000',
    ],
    [{}, {}, 'maximum memory usage per Pod is 1Gi.  No limit is specified'],
    [{}, { memory: '2Gi' }, 'maximum memory usage per Pod is 1Gi, but limit is 2Gi'],
  ])('bound requests %j and limits %j', async (requests, limits, message) => {
    expect(await refused('bound', pod('x', resources(requests, limits)))).toBe(`pods "x" is forbidden: ${message}`);
  });

  test('are sound themselves', async () => {
    const limits = [{ type: 'Container', max: { cpu: '1' }, min: { cpu: '2' } }, { type: 'Container' }];
    expect(
      await post('bound', { metadata: { name: 'x' }, spec: { limits } }, 'limitranges').then((a) => a.json['message']),
    ).toMatch(/min value 2 is greater than max value 1.*spec\.limits\[1\]\.type: Duplicate value: "Container"/);
  });
});

describe('resource quotas', () => {
  const quota = async (name: string, hard: Record<string, string>, used: Record<string, string>, spec: object = {}) => {
    const path = '/api/v1/namespaces/small/resourcequotas';
    expect((await s.call('POST', path, { metadata: { name }, spec: { hard, ...spec } })).status).toBe(201);
    const merge = { 'content-type': 'application/merge-patch+json' };
    expect((await s.call('PATCH', `${path}/${name}/status`, { status: { hard, used } }, merge)).status).toBe(200);
  };
  const usedOf = async (name: string) =>
    (await s.call('GET', `/api/v1/namespaces/small/resourcequotas/${name}`)).json['status']!['used'];
  const drop = (name: string) => s.call('DELETE', `/api/v1/namespaces/small/resourcequotas/${name}`);

  test('count what is made, whoever comes first, and not one more', async () => {
    await quota('few', { pods: '3', 'count/pods': '10' }, { pods: '0', 'count/pods': '0' });
    await eventually(async () => expect((await post('small', pod('probe'), 'pods?dryRun=All')).status).toBe(201));
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => post('small', pod(`p${i}`))));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
    expect(answers.find(({ status }) => status !== 201)!.json['message']).toMatch(
      /^pods "p\d" is forbidden: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3$/,
    );
    expect(await usedOf('few')).toEqual({ pods: '3', 'count/pods': '3' });
    expect((await s.call('GET', '/api/v1/namespaces/small/pods')).json['items']).toHaveLength(3);
    await drop('few');
  });

  test('give back what a write that failed had taken, of every quota', async () => {
    await quota('a', { configmaps: '5' }, { configmaps: '0' });
    await quota('b', { configmaps: '1' }, { configmaps: '0' });
    await eventually(async () =>
      expect((await post('small', { metadata: { name: 'm' } }, 'configmaps?dryRun=All')).status).toBe(201),
    );
    expect((await post('small', { metadata: { name: 'm' } }, 'configmaps')).status).toBe(201);
    await eventually(async () => expect(await usedOf('b')).toEqual({ configmaps: '1' }));
    expect((await post('small', { metadata: { name: 'n' } }, 'configmaps')).json['message']).toMatch(
      'exceeded quota: b',
    );
    expect(await usedOf('a')).toEqual({ configmaps: '1' });
    await drop('b');
    await eventually(async () =>
      expect((await post('small', { metadata: { name: 'm' } }, 'configmaps')).status).toBe(409),
    );
    expect(await usedOf('a')).toEqual({ configmaps: '1' });
    await drop('a');
  });

  test('add up cpu and memory, and want them told', async () => {
    await quota(
      'compute',
      { 'requests.cpu': '1', 'limits.memory': '1Gi' },
      { 'requests.cpu': '0', 'limits.memory': '0' },
    );
    const sized = (name: string, cpu: string, memory: string) =>
      pod(name, { containers: [container({ resources: { requests: { cpu }, limits: { memory } } })] });
    await eventually(async () =>
      expect(await refused('small', pod('silent'))).toBe(
        'pods "silent" is forbidden: failed quota: compute: must specify limits.memory for: c; requests.cpu for: c',
      ),
    );
    expect((await post('small', sized('one', '600m', '512Mi'))).status).toBe(201);
    expect(await usedOf('compute')).toEqual({ 'requests.cpu': '600m', 'limits.memory': '512Mi' });
    expect(await refused('small', sized('two', '500m', '256Mi'))).toBe(
      'pods "two" is forbidden: exceeded quota: compute, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1',
    );
    await drop('compute');
  });

  test('look only at what is in their scope', async () => {
    await quota('best', { pods: '0' }, { pods: '0' }, { scopes: ['BestEffort'] });
    await eventually(async () => expect(await refused('small', pod('best'))).toMatch('exceeded quota: best'));
    const guaranteed = container({ resources: { limits: { cpu: '1', memory: '1Mi' } } });
    expect((await post('small', pod('guaranteed', { containers: [guaranteed] }))).status).toBe(201);
    await drop('best');
  });

  test('refuse as long as nobody has counted', async () => {
    await post('small', { metadata: { name: 'new' }, spec: { hard: { secrets: '9' } } }, 'resourcequotas');
    await eventually(async () =>
      expect((await post('small', { metadata: { name: 's' } }, 'secrets')).json['message']).toBe(
        'secrets "s" is forbidden: status unknown for quota: new, resources: secrets',
      ),
    );
    await drop('new');
  });
});

describe('pod security', () => {
  const merge = { 'content-type': 'application/merge-patch+json' };
  const label = (labels: object) => s.call('PATCH', '/api/v1/namespaces/safe', { metadata: { labels } }, merge);
  const key = (mode: string) => `pod-security.kubernetes.io/${mode}`;
  const good = {
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [container({ securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } })],
  };

  test('refuses what breaks the level of the namespace, and says everything that does', async () => {
    await label({ [key('enforce')]: 'restricted' });
    await eventually(async () =>
      expect(await refused('safe', pod('x', { hostNetwork: true }))).toBe(
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true), allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
      ),
    );
    expect((await post('safe', pod('good', good))).status).toBe(201);
    await label({ [key('enforce')]: null });
  });

  test('warns, also of workloads whose pods would', async () => {
    await label({ [key('warn')]: 'baseline' });
    await eventually(async () => {
      const warned = await post('safe', pod('warned', { hostPID: true }), 'pods?dryRun=All');
      expect([warned.status, warned.headers['warning']]).toEqual([
        201,
        '299 - "would violate PodSecurity \\"baseline:latest\\": host namespaces (hostPID=true)"',
      ]);
    });
    const template = {
      metadata: { labels: { a: 'b' } },
      spec: { containers: [container({ securityContext: { privileged: true } })] },
    };
    const deployment = { metadata: { name: 'd' }, spec: { selector: { matchLabels: { a: 'b' } }, template } };
    const answer = await s.call('POST', '/apis/apps/v1/namespaces/safe/deployments', deployment);
    expect(answer.headers['warning']).toBe(
      '299 - "would violate PodSecurity \\"baseline:latest\\": privileged (container \\"c\\" must not set securityContext.privileged=true)"',
    );
  });

  test('tells who tightens it which pods are there that break it', async () => {
    await post('safe', pod('old', { hostPID: true }));
    await eventually(async () => {
      const answer = await label({ [key('enforce')]: 'baseline' });
      expect(answer.headers['warning']).toMatch(
        /existing pods in namespace \\"safe\\" violate the new PodSecurity enforce level \\"baseline:latest\\".*old: host namespaces/,
      );
      await label({ [key('enforce')]: null });
    });
    expect((await label({ [key('enforce')]: 'strict' })).json['message']).toBe(
      'Namespace "safe" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted',
    );
  });
});

describe('priority', () => {
  const classes = '/apis/scheduling.k8s.io/v1/priorityclasses';
  test('comes from the class that the pod names, or the default one', async () => {
    expect(await specOf('plain', pod('zero'))).toMatchObject({ priority: 0, preemptionPolicy: 'PreemptLowerPriority' });
    expect(await specOf('plain', pod('critical', { priorityClassName: 'system-node-critical' }))).toMatchObject({
      priority: 2000001000,
    });
    await s.call('POST', classes, {
      metadata: { name: 'calm' },
      value: 5,
      globalDefault: true,
      preemptionPolicy: 'Never',
    });
    await eventually(async () =>
      expect((await post('plain', pod('dry'), 'pods?dryRun=All')).json['spec']).toMatchObject({
        priority: 5,
        priorityClassName: 'calm',
        preemptionPolicy: 'Never',
      }),
    );
    expect(
      (await s.call('POST', classes, { metadata: { name: 'other' }, value: 1, globalDefault: true })).json['message'],
    ).toMatch('PriorityClass calm is already marked as default');
    expect(await refused('plain', pod('x', { priorityClassName: 'none' }))).toBe(
      'pods "x" is forbidden: no PriorityClass with name none was found',
    );
    expect(await refused('plain', pod('x', { priority: 7 }))).toMatch(
      'the integer value of priority (7) must not be provided',
    );
    await s.call('DELETE', `${classes}/calm`);
  });

  test('classes are bounded, and keep their value', async () => {
    const message = async (body: object) => (await s.call('POST', classes, body)).json['message'];
    expect(await message({ metadata: { name: 'high' }, value: 2_000_000_000 })).toMatch(
      'maximum allowed value of a user defined priority is 1000000000',
    );
    expect(await message({ metadata: { name: 'system-mine' }, value: 1 })).toMatch(
      "with 'system-' prefix are reserved",
    );
    await s.call('POST', classes, { metadata: { name: 'fixed' }, value: 1 });
    const merge = { 'content-type': 'application/merge-patch+json' };
    expect((await s.call('PATCH', `${classes}/fixed`, { value: 2 }, merge)).json['message']).toMatch(
      'may not be changed in an update',
    );
  });
});

describe('tolerations and node selectors', () => {
  test('pods stay five minutes on nodes that are not well, unless they say otherwise', async () => {
    const own = { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 };
    expect((await specOf('plain', pod('tolerant', { tolerations: [own] })))['tolerations']).toEqual([
      own,
      { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    ]);
  });

  test('who asks for a special resource tolerates its taint', async () => {
    const gpu = container({ resources: { limits: { 'example.com/gpu': '1' } } });
    expect((await specOf('plain', pod('gpu', { containers: [gpu] })))['tolerations']).toContainEqual({
      key: 'example.com/gpu',
      operator: 'Exists',
      effect: 'NoSchedule',
    });
  });

  test('a namespace may bind its pods to nodes, and say what they tolerate', async () => {
    const allowed = [
      { key: 'a', operator: 'Exists' },
      { operator: 'Exists', effect: 'NoExecute' },
    ];
    await namespace('picky', {
      annotations: {
        'scheduler.alpha.kubernetes.io/node-selector': 'disk=ssd, zone=a',
        'scheduler.alpha.kubernetes.io/tolerationsWhitelist': JSON.stringify(allowed),
        'scheduler.alpha.kubernetes.io/defaultTolerations': JSON.stringify([{ key: 'a', operator: 'Exists' }]),
      },
    });
    const spec = await specOf('picky', pod('p'));
    expect(spec['nodeSelector']).toEqual({ disk: 'ssd', zone: 'a' });
    expect(spec['tolerations']).toContainEqual({ key: 'a', operator: 'Exists' });
    expect(await refused('picky', pod('x', { nodeSelector: { disk: 'hdd' } }))).toMatch(
      'conflicts with its namespace node label selector',
    );
    expect(await refused('picky', pod('x', { tolerations: [{ key: 'b', operator: 'Exists' }] }))).toMatch(
      'conflict with its namespace whitelist',
    );
  });

  test('images are pulled always where that is wanted', async () => {
    expect((await specOf('plain', pod('pull')))['containers']).toMatchObject([{ imagePullPolicy: 'Always' }]);
  });
});

describe('the place of a pod', () => {
  test('is told by labels of its own once it has a node, whatever it claimed', async () => {
    const place = { 'topology.kubernetes.io/region': 'r1', 'topology.kubernetes.io/zone': 'z1' };
    await s.call('POST', '/api/v1/nodes', { metadata: { name: 'placed', labels: { ...place, rack: '7' } } });
    const claimed = pod('claims');
    await post('plain', {
      ...claimed,
      metadata: { ...claimed.metadata, labels: { 'topology.kubernetes.io/zone': 'z9' } },
    });
    const target = { kind: 'Node', name: 'placed' };
    expect((await post('plain', { metadata: { name: 'claims' }, target }, 'pods/claims/binding')).status).toBe(201);
    const { json } = await s.call('GET', '/api/v1/namespaces/plain/pods/claims');
    expect(json['metadata']!['labels']).toEqual(place);
    const direct = await post('plain', pod('direct', { nodeName: 'placed' }));
    expect(direct.json['metadata']!['labels']).toEqual(place);
    const elsewhere = await post('plain', pod('elsewhere', { nodeName: 'unknown' }));
    expect(elsewhere.json['metadata']!['labels']).toBeUndefined();
  });
});

// https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#matchlabelkeys
describe('keys of labels', () => {
  const term = (more: object = {}) => ({
    topologyKey: 'zone',
    labelSelector: { matchLabels: { app: 'a' } },
    matchLabelKeys: ['rev', 'none'],
    mismatchLabelKeys: ['tenant'],
    ...more,
  });
  const spread = (more: object = {}) => ({
    ...{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
    ...{ labelSelector: { matchLabels: { app: 'a' } }, matchLabelKeys: ['rev'] },
    ...more,
  });
  const labelled = (spec: object) => ({
    ...pod('p', spec),
    metadata: { generateName: 'p-', labels: { rev: '2', tenant: 't' } },
  });

  test('stand in the selectors of a pod with the values that it has when it is made', async () => {
    const affinity = {
      podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term()] },
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: term({ labelSelector: {} }) }],
      },
    };
    const spec = await specOf('plain', labelled({ affinity, topologySpreadConstraints: [spread()] }));
    const own = [
      { key: 'rev', operator: 'In', values: ['2'] },
      { key: 'tenant', operator: 'NotIn', values: ['t'] },
    ];
    expect(spec['affinity']).toMatchObject({
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { labelSelector: { matchLabels: { app: 'a' }, matchExpressions: own }, matchLabelKeys: ['rev', 'none'] },
        ],
      },
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { podAffinityTerm: { labelSelector: { matchExpressions: own } } },
        ],
      },
    });
    expect(spec['topologySpreadConstraints']).toMatchObject([
      { labelSelector: { matchExpressions: own.slice(0, 1) }, matchLabelKeys: ['rev'] },
    ]);
  });

  test('narrow nothing where there is no selector, and say nothing that the selector says', async () => {
    const required = (one: object) => ({
      affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [one] } },
    });
    const at = 'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]';
    for (const [spec, words] of [
      [required(term({ labelSelector: undefined })), `${at}.matchLabelKeys: Forbidden: must not be specified when`],
      [required(term({ matchLabelKeys: ['/x'] })), `${at}.matchLabelKeys[0]: Invalid value: "/x": prefix part`],
      [required(term({ mismatchLabelKeys: ['rev'] })), 'exists in both matchLabelKeys and mismatchLabelKeys'],
      [
        required(term({ labelSelector: { matchLabels: { rev: '2' } } })),
        'exists in both matchLabelKeys and labelSelector',
      ],
      [
        { topologySpreadConstraints: [spread({ labelSelector: { matchLabels: { rev: '2' } } })] },
        'exists in both matchLabelKeys and labelSelector',
      ],
    ] as const)
      expect(await refused('plain', labelled(spec))).toContain(words);
  });
});
