import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { uncovered } from '../../../apiserver/auth/covers.ts';
import { defaultPolicy } from '../../../apiserver/auth/policy/reconcile.ts';
import { parsePolicy } from '../../../apiserver/auth/policy/rules.ts';
import { Kubectl, newestKubectl } from '../../cluster/kubectl.ts';
import { eventually } from '../../eventually.ts';
import { startServer, type Reply, type TestServer } from '../harness.ts';

let s: TestServer;
const user = (name: string, ...groups: string[]) => ({ token: `${name}-token`, user: { name, groups } });
beforeAll(async () => {
  s = await startServer(
    {},
    {
      tokens: [
        { token: 'admin-token', user: { name: 'admin', groups: ['system:masters'] } },
        user('alice', 'devs'),
        user('bob', 'ops'),
        user('carol'),
        user('dave'),
        user('erin'),
      ],
    },
  );
});
afterAll(() => s.stop());

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const as = (name: string) => ({ authorization: `Bearer ${name}-token` });
const get = async (path: string, name: string) => (await s.call('GET', path, undefined, as(name))).status;
const post = (path: string, body: object, name = 'admin') => s.call('POST', path, body, as(name));
const named = (name: string) => ({ metadata: { name } });
const ref = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });

async function bind(kind: string, role: string, subject: object, namespace = ''): Promise<Reply> {
  const path = namespace ? `${rbac}/namespaces/${namespace}/rolebindings` : `${rbac}/clusterrolebindings`;
  const answer = await post(path, { metadata: { generateName: 'b-' }, roleRef: ref(kind, role), subjects: [subject] });
  expect(answer.status).toBe(201);
  return answer;
}

describe('the default policy', () => {
  test('is there when the server is ready', async () => {
    for (const { kind, object } of defaultPolicy()) {
      const { namespace, name } = object.metadata;
      const path = `${rbac}/${namespace ? `namespaces/${namespace}/` : ''}${kind.plural}/${encodeURIComponent(name!)}`;
      const answer = await s.call('GET', path);
      expect([name, answer.status]).toEqual([name, 200]);
      expect(answer.json['metadata']).toMatchObject({
        labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
        annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
      });
    }
  });

  test('gathers view into edit and edit into admin from the start', async () => {
    const rules = async (name: string) =>
      JSON.stringify((await s.call('GET', `${rbac}/clusterroles/${name}`)).json['rules']);
    expect(await rules('admin')).toContain('rolebindings');
    expect(await rules('admin')).toContain('pods/log');
    expect(await rules('edit')).toContain('deployments/scale');
    expect(await rules('view')).not.toContain('secrets');
  });

  test('comes back complete after a restart, and leaves alone what an administrator took over', async () => {
    const first = await startServer({ embeddedStore: `${s.dir}/policy.db` });
    const merge = { 'content-type': 'application/merge-patch+json' };
    await first.call('PATCH', `${rbac}/clusterroles/system:basic-user`, { rules: [] }, merge);
    const own = { metadata: { annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'false' } }, rules: [] };
    await first.call('PATCH', `${rbac}/clusterroles/system:discovery`, own, merge);
    await first.call('PATCH', `${rbac}/clusterrolebindings/system:basic-user`, { subjects: [] }, merge);
    await first.stop();
    const second = await startServer({ embeddedStore: `${s.dir}/policy.db` });
    const read = async (path: string) => (await second.call('GET', `${rbac}/${path}`)).json;
    expect(JSON.stringify((await read('clusterroles/system:basic-user'))['rules'])).toContain('selfsubjectreviews');
    expect((await read('clusterroles/system:discovery'))['rules']).toEqual([]);
    expect((await read('clusterrolebindings/system:basic-user'))['subjects']).toHaveLength(1);
    await second.stop();
  });

  test('is read from lines', () => {
    expect([...parsePolicy('a\n  read : pods deployments.apps/scale @ x\n  get : /healthz\n  * : /*\n')]).toEqual([
      [
        'a',
        [
          { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] },
          {
            verbs: ['get', 'list', 'watch'],
            apiGroups: ['apps'],
            resources: ['deployments/scale'],
            resourceNames: ['x'],
          },
          { verbs: ['get'], nonResourceURLs: ['/healthz'] },
          { verbs: ['*'], nonResourceURLs: ['*'] },
        ],
      ],
    ]);
  });
});

describe('a binding counts', () => {
  test('for a group in its namespace only, and no longer when it is gone', async () => {
    await post('/api/v1/namespaces', named('team'));
    const made = await bind('ClusterRole', 'view', { kind: 'Group', name: 'devs' }, 'team');
    await eventually(async () => expect(await get('/api/v1/namespaces/team/pods', 'alice')).toBe(200));
    expect(await get('/api/v1/namespaces/default/pods', 'alice')).toBe(403);
    expect(await get('/api/v1/namespaces/team/secrets', 'alice')).toBe(403);
    expect(await get('/api/v1/pods', 'alice')).toBe(403);
    expect(await get('/api/v1/namespaces/team/pods', 'bob')).toBe(403);
    const name = made.json['metadata']!['name'] as unknown as string;
    await s.call('DELETE', `${rbac}/namespaces/team/rolebindings/${name}`);
    await eventually(async () => expect(await get('/api/v1/namespaces/team/pods', 'alice')).toBe(403));
  });

  test('for the names, subresources and paths that its rules list', async () => {
    const rules = [
      { verbs: ['get', 'list'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['mine'] },
      { verbs: ['get'], apiGroups: ['apps'], resources: ['*/scale'] },
      { verbs: ['get'], nonResourceURLs: ['/metrics', '/logs/*'] },
    ];
    await post(`${rbac}/clusterroles`, { ...named('picky'), rules });
    await bind('ClusterRole', 'picky', { kind: 'User', name: 'carol' });
    await eventually(async () => expect(await get('/metrics', 'carol')).toBe(200));
    const inDefault = '/api/v1/namespaces/default';
    expect(await get(`${inDefault}/configmaps/mine`, 'carol')).toBe(404);
    expect(await get(`${inDefault}/configmaps/other`, 'carol')).toBe(403);
    expect(await get(`${inDefault}/configmaps`, 'carol')).toBe(403);
    expect(await get(`${inDefault}/configmaps?fieldSelector=metadata.name%3Dmine`, 'carol')).toBe(200);
    expect(
      await get(`${inDefault}/configmaps?fieldSelector=metadata.name%3Dmine&watch=1&timeoutSeconds=1`, 'carol'),
    ).toBe(403);
    expect(await get(`${inDefault}/configmaps?fieldSelector=metadata.name!%3Dmine`, 'carol')).toBe(403);
    expect(await get('/apis/apps/v1/namespaces/default/deployments/x/scale', 'carol')).toBe(404);
    expect(await get('/apis/apps/v1/namespaces/default/deployments/x', 'carol')).toBe(403);
    expect(await get('/logs/x', 'carol')).toBe(404);
    expect(await get('/debug', 'carol')).toBe(403);
  });

  test('and one without its role is named in the refusal', async () => {
    await bind('ClusterRole', 'no-such-role', { kind: 'User', name: 'dave' });
    await eventually(async () =>
      expect((await s.call('GET', '/api/v1/nodes', undefined, as('dave'))).json['message']).toBe(
        'nodes is forbidden: User "dave" cannot list resource "nodes" in API group "" at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "no-such-role" not found',
      ),
    );
  });
});

describe('nobody gives more than he has:', () => {
  const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }];
  const inDefault = `${rbac}/namespaces/default`;
  beforeAll(async () => {
    await bind('ClusterRole', 'admin', { kind: 'User', name: 'erin' }, 'default');
    await eventually(async () => expect(await get(`${inDefault}/roles`, 'erin')).toBe(200));
  });

  test('a role may be written with rules one holds', async () => {
    expect((await post(`${inDefault}/roles`, { ...named('reader'), rules }, 'erin')).status).toBe(201);
    const more = [{ verbs: ['get'], apiGroups: [''], resources: ['nodes'] }];
    const refused = await post(`${inDefault}/roles`, { ...named('more'), rules: more }, 'erin');
    expect(refused.json).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(refused.json['message']).toBe(
      'roles.rbac.authorization.k8s.io "more" is forbidden: user "erin" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}',
    );
  });

  test('a role may be bound that one holds, or is let bind', async () => {
    const binding = (name: string, role: string) => ({
      ...named(name),
      roleRef: ref('ClusterRole', role),
      subjects: [{ kind: 'User', name: 'bob' }],
    });
    expect((await post(`${inDefault}/rolebindings`, binding('view', 'view'), 'erin')).status).toBe(201);
    expect((await post(`${inDefault}/rolebindings`, binding('all', 'cluster-admin'), 'erin')).json['message']).toMatch(
      'is attempting to grant RBAC permissions not currently held',
    );
    const may = [{ verbs: ['bind'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'] }];
    await post(`${inDefault}/roles`, { ...named('binder'), rules: may });
    await bind('Role', 'binder', { kind: 'User', name: 'erin' }, 'default');
    await eventually(async () =>
      expect((await post(`${inDefault}/rolebindings`, binding('all', 'cluster-admin'), 'erin')).status).toBe(201),
    );
  });

  test.each([
    ['itself', 'get : pods', 'get : pods', 0],
    ['a part', '* : *.*', 'get list : pods deployments.apps/scale', 0],
    ['no other verb', 'get : pods', 'list : pods', 1],
    ['no subresource', 'get : pods', 'get : pods/log', 1],
    ['a subresource of anything', 'get : *.apps/scale', 'get : deployments.apps/scale', 0],
    ['a name', 'get : pods', 'get : pods @ a', 0],
    ['not everything by one name', 'get : pods @ a', 'get : pods', 1],
    ['a path below', 'get : /logs/*', 'get : /logs/a', 0],
    ['no path above', 'get : /logs/*', 'get : /logs', 1],
  ])('a rule covers %s', (_what, held, wanted, lacking) => {
    const rulesOf = (line: string) => parsePolicy(`r\n  ${line}`).get('r')!;
    expect(uncovered(rulesOf(held), rulesOf(wanted))).toHaveLength(lacking);
  });
});

test('what an RBAC object may not be', async () => {
  const inDefault = `${rbac}/namespaces/default`;
  const rules = [{ verbs: [], apiGroups: [''], resources: ['pods'] }];
  expect((await post(`${inDefault}/roles`, { ...named('x'), rules })).json['message']).toBe(
    'Role.rbac.authorization.k8s.io "x" is invalid: rules[0].verbs: Required value: verbs must contain at least one value',
  );
  const url = [{ verbs: ['get'], nonResourceURLs: ['/x'] }];
  expect((await post(`${inDefault}/roles`, { ...named('x'), rules: url })).json['message']).toMatch(
    'namespaced rules cannot apply to non-resource URLs',
  );
  const bad = { ...named('x'), roleRef: ref('Role', 'x'), subjects: [{ kind: 'Person', name: '' }] };
  expect((await post(`${rbac}/clusterrolebindings`, bad)).json['message']).toBe(
    'ClusterRoleBinding.rbac.authorization.k8s.io "x" is invalid: [roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole", subjects[0].name: Required value, subjects[0].kind: Unsupported value: "Person": supported values: "Group", "ServiceAccount", "User"]',
  );
  const binding = { ...named('fixed'), roleRef: ref('ClusterRole', 'view') };
  expect((await post(`${inDefault}/rolebindings`, binding)).status).toBe(201);
  const merge = { 'content-type': 'application/merge-patch+json' };
  const changed = await s.call('PATCH', `${inDefault}/rolebindings/fixed`, { roleRef: { name: 'edit' } }, merge);
  expect(changed.json['message']).toMatch('cannot change roleRef');
});

describe('kubectl', () => {
  const kubectl = () => new Kubectl(newestKubectl(), s.kubeconfig);

  test('asks for others and lists what they may', async () => {
    const cli = kubectl();
    await cli.run('create', 'namespace', 'shop');
    await cli.run('create', 'rolebinding', 'gina', '--clusterrole=edit', '--user=gina', '-n', 'shop');
    await eventually(async () =>
      expect((await cli.try('auth', 'can-i', 'create', 'pods', '-n', 'shop', '--as', 'gina')).stdout).toBe('yes\n'),
    );
    expect((await cli.try('auth', 'can-i', 'create', 'pods', '-n', 'default', '--as', 'gina')).stdout).toBe('no\n');
    const list = await cli.run('auth', 'can-i', '--list', '-n', 'shop', '--as', 'gina');
    expect(list).toMatch(/^pods\/exec +\[\] +\[\] +\[.*create/m);
    expect((await cli.try('get', 'nodes', '--as', 'gina')).stderr).toBe(
      'Error from server (Forbidden): nodes is forbidden: User "gina" cannot list resource "nodes" in API group "" at the cluster scope\n',
    );
  });

  test('shows roles and bindings as tables', async () => {
    const cli = kubectl();
    expect(await cli.run('get', 'clusterroles', 'view')).toMatch(/^NAME +CREATED AT\nview +\d{4}-/);
    expect(await cli.run('get', 'clusterrolebindings', 'cluster-admin', '-o', 'wide')).toMatch(
      /^NAME +ROLE +AGE +USERS +GROUPS +SERVICEACCOUNTS\ncluster-admin +ClusterRole\/cluster-admin +\d+s +system:masters/,
    );
  });
});
