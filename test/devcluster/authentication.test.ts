import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Devcluster } from '../../devcluster/index.ts';
import { askAgent, askMaster } from '../../mesos/operator.ts';
import { atEnd, cluster, endAll, executor, Framework, task } from './builders.ts';

// What a real Mesos answered is replayed in golden.test.ts; here is what no recording has.

afterEach(endAll);

const fw = { principal: 'fw', secret: 's3cret' };
const key = 'the key of the tokens';
const agents = JSON.stringify([{ resources: 'cpus:4;mem:4096' }]);

function files(given: Record<string, string>): Record<string, string> {
  const directory = mkdtempSync(join(tmpdir(), 'km-authentication-'));
  atEnd(() => rmSync(directory, { recursive: true }));
  return Object.fromEntries(
    Object.entries(given).map(([name, text]) => {
      writeFileSync(join(directory, name), text);
      return [name, join(directory, name)];
    }),
  );
}

const credentialsFile = () => files({ credentials: JSON.stringify({ credentials: [fw] }) })['credentials']!;
const keyFile = () => files({ key: `${key}\n` })['key']!;

function tokenOf(claims: object, by = key, header: object = { alg: 'HS256', typ: 'JWT' }): string {
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', by).update(text).digest('base64url')}`;
}

/** Two executors that run, `a` and `b`, with their containers. */
async function running({ masterUrl, agents: [agent] }: Devcluster) {
  const framework = await Framework.open(masterUrl, { principal: 'fw' }, undefined, fw);
  const offer = await framework.offer();
  await framework.launch(offer, ...['a', 'b'].map((id) => task(id, offer, { executor: executor(id) })));
  for (const id of ['a', 'b']) await framework.reached(id, 'TASK_RUNNING');
  const { url } = agent!;
  const { get_containers } = await askAgent({ url, credentials: fw }, { type: 'GET_CONTAINERS' });
  const containerOf = (id: string) =>
    get_containers.containers!.find(({ executor_id }) => executor_id?.value === id)!.container_id!.value;
  return { url, fid: framework.id, cid: containerOf('a'), other: containerOf('b') };
}

describe('an agent with a key for tokens', () => {
  test('lets an executor launch, await, end and remove containers below its own alone', async () => {
    const devcluster = await cluster({}, { agents, credentialsFile: credentialsFile(), jwtSecretKeyFile: keyFile() });
    const { url, fid, cid, other } = await running(devcluster);
    const asked = { url, credentials: { token: tokenOf({ cid, eid: 'a', fid }) } };
    const below = (value: string) => ({ value: 'z', parent: { value } });
    const command = { value: 'sleep 1000' };
    await askAgent(asked, {
      type: 'LAUNCH_CONTAINER',
      launch_container: { container_id: below(cid), command },
    });
    for (const container_id of [below(other), { value: 'alone' }])
      await expect(
        askAgent(asked, { type: 'LAUNCH_CONTAINER', launch_container: { container_id, command } }),
      ).rejects.toMatchObject({ status: 403 });
    const ops = { url, credentials: fw };
    await askAgent(ops, { type: 'LAUNCH_CONTAINER', launch_container: { container_id: below(other), command } });
    await expect(
      askAgent(asked, { type: 'KILL_CONTAINER', kill_container: { container_id: below(other) } }),
    ).rejects.toMatchObject({ status: 403 });
    await askAgent(asked, { type: 'KILL_CONTAINER', kill_container: { container_id: below(cid) } });
  });

  test('believes no token that it did not make, and none of another run', async () => {
    const devcluster = await cluster({}, { agents, credentialsFile: credentialsFile(), jwtSecretKeyFile: keyFile() });
    const { url, fid, cid, other } = await running(devcluster);
    const claims = { cid, eid: 'a', fid };
    const say = async (authorization: string) => {
      const answer = await fetch(`${url}/api/v1/executor`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json', authorization },
        body: JSON.stringify({
          ...{ type: 'MESSAGE', message: { data: 'AA==' } },
          ...{ executor_id: { value: 'a' }, framework_id: { value: fid } },
        }),
      });
      const told = /error_description="(.*)"$/.exec(answer.headers.get('www-authenticate') ?? '')?.[1];
      return [answer.status, told ?? (await answer.text())];
    };
    expect(await say(`Bearer ${tokenOf(claims)}`)).toEqual([202, '']);
    expect(await say(`Bearer ${tokenOf(claims, 'another key')}`)).toEqual([
      401,
      'Invalid JWT: Token signature does not match',
    ]);
    expect(await say(`Bearer ${tokenOf(claims, key, { alg: 'none' })}`)).toEqual([
      401,
      'Invalid JWT: Token \'alg\' value "none" does not match, expected "HS256"',
    ]);
    expect(await say('Bearer a.b')).toEqual([401, 'Invalid JWT: Expected 3 components in token, got 2']);
    expect(await say('Basic Zjpm')).toEqual([401, "Scheme 'Basic' unsupported"]);
    expect(await say(`Bearer ${tokenOf({ ...claims, cid: other })}`)).toEqual([
      403,
      expect.stringContaining("does not contain a 'cid' claim with the correct active ContainerID"),
    ]);
  });
});

describe('a devcluster with credentials alone', () => {
  test('does not ask executors, and asks operators of its agents for credentials', async () => {
    const devcluster = await cluster({}, { agents, credentialsFile: credentialsFile() });
    const { url } = await running(devcluster);
    const answer = await fetch(`${url}/state`);
    expect([answer.status, answer.headers.get('www-authenticate'), await answer.text()]).toEqual([
      401,
      'Basic realm="mesos-agent-readonly"',
      '401 Unauthorized.',
    ]);
  });

  test('asks before it says who leads', async () => {
    const devcluster = await cluster({}, { agents, masters: 2, credentialsFile: credentialsFile() });
    const follower = devcluster.masterUrls.find((one) => one !== devcluster.masterUrl)!;
    const call = { type: 'GET_HEALTH' } as const;
    await expect(askMaster({ url: follower }, call)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await askMaster({ url: follower, credentials: fw }, call)).toMatchObject({ get_health: { healthy: true } });
  });
});

describe('a devcluster does not start', () => {
  test.each([
    ['with credentials of another form', { credentials: '{"credentials":{"fw":"x"}}' }, /expected {"credentials":\[/],
    ['with credentials that are no JSON', { credentials: 'fw x' }, /expected {"credentials":\[/],
    ['with a key alone', { key }, /--jwt-secret-key-file needs --credentials-file/],
    ['with an empty key', { credentials: '{"credentials":[]}', key: '\n' }, /is empty/],
  ])('%s', async (_what, given, said) => {
    const { credentials = '', key: jwtSecretKeyFile = '' } = files(given);
    await expect(cluster({}, { credentialsFile: credentials, jwtSecretKeyFile })).rejects.toThrow(said);
  });

  test.each([
    ['that are no JSON', '{', /expected JSON/],
    ['about what it does not know', '{"view_roles":[]}', /got 'view_roles'/],
    ['without values', '{"run_tasks":[{"principals":{"type":"ANY"},"users":"root"}]}', /expected users as/],
  ])('with ACLs %s', async (_what, acls, said) => {
    await expect(cluster({}, { acls })).rejects.toThrow(said);
  });
});

test('ACLs that are not permissive allow what a rule allows, and nothing else', async () => {
  const acls = JSON.stringify({
    permissive: false,
    register_frameworks: [{ principals: { values: ['fw'] }, roles: { values: ['web'] } }],
    run_tasks: [{ principals: { type: 'ANY' }, users: { values: ['root'] } }],
  });
  const { masterUrl } = await cluster({}, { agents, acls });
  const framework = await Framework.open(masterUrl, { principal: 'fw', roles: ['web'] });
  const offer = await framework.offer();
  const command = { value: 'true' };
  await framework.launch(
    offer,
    task('t', offer, { command }),
    task('u', offer, { command: { ...command, user: 'nobody' } }),
  );
  await framework.reached('t', 'TASK_FINISHED');
  expect(await framework.reached('u', 'TASK_ERROR')).toMatchObject({ reason: 'REASON_TASK_UNAUTHORIZED' });
  const teardown = { type: 'TEARDOWN', teardown: { framework_id: { value: framework.id } } } as const;
  await expect(askMaster({ url: masterUrl }, teardown)).rejects.toMatchObject({ code: 'forbidden' });
});
