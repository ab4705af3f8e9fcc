import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { annotations } from '../../api/kinds/names.ts';
import { Node } from '../../api/kinds/node.ts';
import type { Options } from '../../executor/index.ts';
import { createAuthority, fingerprint, issue } from '../../lib/certs.ts';
import { startWebhook } from '../apiserver/webhook-server.ts';
import { eventually } from '../eventually.ts';
import { makeCa } from '../pki.ts';
import { type ExecutorForTests, type Joining, startExecutorForTests, testNode } from './executor-for-tests.ts';
import { aPod } from './pods-for-tests.ts';

const me = `system:node:${testNode}`;
const joins: Joining = { group: 'system:bootstrappers' };

let executor: ExecutorForTests;
afterEach(() => executor?.close());
const open = async (given: Partial<Options> = {}, joining: Joining = joins) =>
  (executor = await startExecutorForTests(given, joining));

const fileOf = (what: string) => join(executor.directory, 'sandbox/pods/pki', `${testNode}.${what}.pem`);
const kept = (what: string) => eventually(() => readFileSync(fileOf(what), 'utf8'), 40_000);
const node = () => executor.client.get(Node, { name: testNode });
const requests = async (signer: 'kube-apiserver-client-kubelet' | 'kubelet-serving') =>
  (await executor.client.list(CertificateSigningRequest)).items.filter(
    ({ spec }) => spec.signerName === `kubernetes.io/${signer}`,
  );
const isReady = () =>
  eventually(async () => {
    const ready = (await node()).status?.conditions?.find(({ type }) => type === 'Ready');
    expect(ready).toMatchObject({ status: 'True', reason: 'KubeletReady' });
  }, 40_000);
/** Once there is a pod whose log it has. */
const logsOf = async (name: string) => {
  const command = ['sh', '-c', 'echo heard; sleep 1000'];
  const pod = aPod({ command }, {}, name);
  await executor.place(pod);
  const path = `/api/v1/namespaces/default/pods/${name}/log`;
  const read = async () => (await executor.client.request('GET', path)).body.text();
  return { read, heard: () => eventually(async () => expect(await read()).toBe('heard\n'), 40_000) };
};
/** The certificate with which the port answers once the Node names it alone. */
const shown = (pem: string) =>
  eventually(async () =>
    expect((await node()).metadata.annotations?.[annotations.kubeletCertificate]).toBe(fingerprint(pem)),
  );

describe('an executor whose token only joins', () => {
  test('becomes its node by a certificate of its own, for its port, too, and keeps both over a restart', async () => {
    await open({}, { ...joins, apiserver: (ca) => ({ kubeletCertificateAuthority: ca }) });
    await executor.startSigning();
    await isReady();
    const [client, serving] = [new X509Certificate(await kept('client')), new X509Certificate(await kept('serving'))];
    expect(client.subject.split('\n').sort()).toEqual([`CN=${me}`, 'O=system:nodes']);
    expect(serving.subjectAltName).toBe(`DNS:${testNode}, IP Address:127.0.0.1`);
    expect((await requests('kube-apiserver-client-kubelet')).map(({ spec }) => spec.username)).toEqual([
      'system:bootstrap:executor',
    ]);
    expect((await requests('kubelet-serving')).map(({ spec }) => spec.username)).toEqual([me]);
    await shown(await kept('serving'));
    await (await logsOf('one')).heard();

    await executor.restart();
    await (await logsOf('two')).heard();
    await shown(await kept('serving'));
    expect(await requests('kube-apiserver-client-kubelet')).toHaveLength(1);
    expect(await requests('kubelet-serving')).toHaveLength(1);
  }, 120_000);

  test('waits where nobody signs, and goes on as soon as somebody does', async () => {
    await open();
    await eventually(async () => expect(await requests('kube-apiserver-client-kubelet')).toHaveLength(1));
    expect((await node()).metadata.annotations?.[annotations.kubeletCertificate]).toBeUndefined();
    await executor.startSigning();
    await isReady();
  }, 120_000);

  test('goes on with a certificate that comes while it is asked whether the token will do', async () => {
    const { promise: isThere, resolve: release } = Promise.withResolvers<void>();
    // Has no opinion, and on this question takes its time.
    const hook = await startWebhook(async (_, body) => {
      const { resource } = body['spec']!['resourceAttributes'] ?? {};
      if ((resource as unknown) === 'selfsubjectreviews') await isThere;
      return { ...body, status: { allowed: false } };
    });
    const file = join(mkdtempSync(join(tmpdir(), 'km-hook-')), 'kubeconfig');
    const cluster = { server: hook.url, 'certificate-authority-data': hook.caBundle };
    const contexts = [{ name: 'h', context: { cluster: 'h', user: '' } }];
    writeFileSync(
      file,
      JSON.stringify({ clusters: [{ name: 'h', cluster }], users: [], contexts, 'current-context': 'h' }),
    );
    try {
      const asked = { authorizationMode: ['Webhook', 'Node', 'RBAC'], authorizationWebhookConfigFile: file };
      await open({}, { ...joins, apiserver: () => asked });
      await executor.startSigning();
      await kept('client');
      release();
      await isReady();
    } finally {
      release();
      await hook.stop();
      rmSync(dirname(file), { recursive: true });
    }
  }, 120_000);

  test('asks for the next certificate as itself, and shows that from then on', async () => {
    await open();
    // So short that each is due as soon as it is there: they seem to have begun five minutes ago.
    await executor.startSigning({ clusterSigningDuration: 30_000 });
    await isReady();
    const first = await kept('client');
    const second = await eventually(async () => {
      const now = await kept('client');
      expect(now).not.toBe(first);
      return now;
    }, 40_000);
    expect(
      (await requests('kube-apiserver-client-kubelet'))
        .map(({ spec }) => spec.username)
        .slice(0, 2)
        .sort(),
    ).toEqual(['system:bootstrap:executor', me]);
    const before = await kept('serving');
    await eventually(async () => expect(await kept('serving')).not.toBe(before), 40_000);
    await (await logsOf('while-it-changes')).heard();
    expect(second).toContain('PRIVATE KEY');
  }, 120_000);

  test('asks for new certificates when another CA begins to sign', async () => {
    await open();
    await executor.startSigning();
    await isReady();
    await kept('serving');
    const [ours, next] = [readFileSync(join(executor.directory, 'ca.crt'), 'utf8'), (await makeCa('next')).pem];
    await executor.client.apply(
      ConfigMap,
      { metadata: { namespace: 'kube-system', name: 'kube-root-ca.crt' }, data: { 'ca.crt': `${next}\n${ours}` } },
      { fieldManager: 'test' },
    );
    await eventually(async () => {
      expect(await requests('kube-apiserver-client-kubelet')).toHaveLength(2);
      expect(await requests('kubelet-serving')).toHaveLength(2);
    }, 40_000);
  }, 120_000);

  test.each([
    ['has run out', -60_000],
    ['is of a CA that is not ours', 3_600_000],
  ])(
    'joins anew where the certificate that it kept %s',
    async (_what, left) => {
      await open();
      const signing = await executor.startSigning();
      await isReady();
      await kept('serving');
      await signing.stop();
      const subject = { commonName: me, organizations: ['system:nodes'] };
      const old = await issue(await createAuthority('other'), subject, Date.now(), left);
      writeFileSync(fileOf('client'), `${old.cert.trim()}\n${old.key}`);
      await executor.startSigning();
      await executor.restart();
      await eventually(async () => expect(await requests('kube-apiserver-client-kubelet')).toHaveLength(2), 40_000);
      await (await logsOf('after')).heard();
      expect(await kept('client')).not.toContain(old.cert.trim());
    },
    60_000,
  );
});

test('a token that is a node by itself goes on being used, until there is a certificate', async () => {
  await open({}, { group: 'system:nodes' });
  await isReady();
  await (await logsOf('by-token')).heard();
  await eventually(async () => expect(await requests('kube-apiserver-client-kubelet')).toHaveLength(1));
  await executor.startSigning();
  await kept('client');
  await eventually(async () =>
    expect((await requests('kubelet-serving')).map(({ spec }) => spec.username)).toContain(me),
  );
  await shown(await kept('serving'));
  await (await logsOf('by-certificate')).heard();
}, 120_000);
