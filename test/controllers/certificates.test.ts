import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import { ClusterRoleBinding } from '../../api/kinds/cluster-role-binding.ts';
import { Node } from '../../api/kinds/node.ts';
import type { Stored } from '../../api/meta.ts';
import { areAddressesOf } from '../../controllers/certificate-approving.ts';
import { lifeLeft, refusal } from '../../controllers/certificates.ts';
import { readRequest } from '../../controllers/common/signing.ts';
import { createAuthority } from '../../lib/certs.ts';
import { eventually } from '../eventually.ts';
import { requestFor } from '../pki.ts';
import { startControllers } from './harness.ts';

const node = 'O=system:nodes,CN=system:node:n1';
const client = ['digital signature', 'client auth'];

describe('a signer', () => {
  test.each([
    ['kube-apiserver-client-kubelet', node, [], client, true],
    ['kube-apiserver-client-kubelet', 'CN=system:node:n1', [], client, false],
    ['kube-apiserver-client-kubelet', node, ['n1'], client, false],
    ['kube-apiserver-client-kubelet', node, [], ['server auth'], false],
    ['kubelet-serving', node, ['n1'], ['digital signature', 'server auth'], true],
    ['kubelet-serving', node, [], ['digital signature', 'server auth'], false],
    ['kube-apiserver-client', 'CN=alice', [], ['client auth'], true],
    ['kube-apiserver-client', 'CN=alice', [], ['server auth'], false],
  ])('kubernetes.io/%s for %s with %j and %j signs: %s', async (signer, name, hosts, usages, signs) => {
    const request = await requestFor(name, hosts);
    const spec = { request, signerName: `kubernetes.io/${signer}`, usages, username: 'system:node:n1' };
    expect(refusal({ metadata: {}, spec }, readRequest(request)!) === undefined).toBe(signs);
  });

  test('cannot read what is no request', () => expect(readRequest('bm9uZQ==')).toBeUndefined());
});

test.each([
  [['n1', '10.0.0.5'], true],
  [['10.0.0.5'], true],
  [['n2', '10.0.0.5'], false],
  [['n1', '10.0.0.6'], false],
])('%j are all names and addresses of the node: %s', async (hosts, are) => {
  const addresses = [
    { type: 'InternalIP' as const, address: '10.0.0.5' },
    { type: 'Hostname' as const, address: 'n1' },
  ];
  const x509 = readRequest(await requestFor(node, hosts))!;
  expect(areAddressesOf({ metadata: {}, spec: {}, status: { addresses } }, x509)).toBe(are);
});

test.each([
  [
    'an hour after a denial',
    { conditions: [{ type: 'Denied', status: 'True', lastUpdateTime: '2026-01-01T10:00:00Z' }] },
    0,
  ],
  ['a day without an answer', {}, 23 * 3_600_000],
  [
    'long enough to be signed',
    { conditions: [{ type: 'Approved', status: 'True', lastUpdateTime: '2026-01-01T08:00:00Z' }] },
    23 * 3_600_000,
  ],
] as const)('a request lives %s', (_what, status, left) => {
  const request = {
    metadata: { name: 'r', uid: 'r', resourceVersion: '1', creationTimestamp: '2026-01-01T10:00:00Z' },
    spec: { request: '', signerName: 'x' },
    status: structuredClone(status),
  } as CertificateSigningRequest & Stored;
  expect(lifeLeft(request, Date.parse('2026-01-01T11:00:00Z'))).toBe(left);
});

describe('against an apiserver', () => {
  let c: Awaited<ReturnType<typeof startControllers>>;
  const dir = mkdtempSync(join(tmpdir(), 'km-signing-'));
  let ca: string;
  beforeAll(async () => {
    const authority = await createAuthority('test CA');
    ca = authority.cert;
    const [clusterSigningCertFile, clusterSigningKeyFile] = [join(dir, 'ca.crt'), join(dir, 'ca.key')];
    writeFileSync(clusterSigningCertFile, authority.cert);
    writeFileSync(clusterSigningKeyFile, authority.key);
    const tokenAuthFile = join(dir, 'tokens');
    const tokens = [
      'bootstrap,system:bootstrap:executor,executor,"system:bootstrappers"',
      'shared,system:bootstrap:executor,executor,"system:nodes"',
      'n1,system:node:n1,n1,"system:nodes"',
      'stranger,stranger,stranger',
    ];
    writeFileSync(tokenAuthFile, tokens.join('\n'));
    c = await startControllers({ clusterSigningCertFile, clusterSigningKeyFile }, { tokenAuthFile });
  });
  afterAll(async () => {
    await c.stop();
    rmSync(dir, { recursive: true });
  });
  const get = (name: string) => c.client.get(CertificateSigningRequest, { name });

  test('a kubelet that may ask gets a certificate of the cluster without a person', async () => {
    const roleRef = {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: 'system:certificates.k8s.io:certificatesigningrequests:nodeclient',
    };
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'admin' }];
    await c.client.create(ClusterRoleBinding, { metadata: { name: 'nodes-may' }, roleRef, subjects });
    const spec = { signerName: 'kubernetes.io/kube-apiserver-client-kubelet', usages: client, expirationSeconds: 3600 };
    await c.client.create(CertificateSigningRequest, {
      metadata: { name: 'n1' },
      spec: { ...spec, request: await requestFor(node) },
    });
    const certificate = await eventually(async () => {
      const found = (await get('n1')).status?.certificate;
      expect(found).toBeDefined();
      return new X509Certificate(Buffer.from(found!, 'base64'));
    });
    expect(certificate.subject.split('\n').sort()).toEqual(['CN=system:node:n1', 'O=system:nodes']);
    expect(certificate.verify(new X509Certificate(ca).publicKey)).toBe(true);
    expect(certificate.validToDate.getTime()).toBeLessThan(Date.now() + 3_700_000);
  });

  const ask = async (token: string, name: string, signer: string, usages: string[], request: string) => {
    const spec = { signerName: `kubernetes.io/${signer}`, usages, request };
    await c.server.client(token).create(CertificateSigningRequest, { metadata: { name }, spec });
  };
  const signed = (name: string) => eventually(async () => expect((await get(name)).status?.certificate).toBeDefined());

  test('who may join asks for any node, a node for itself alone', async () => {
    const askAs = async (token: string, name: string) =>
      ask(token, name, 'kube-apiserver-client-kubelet', client, await requestFor(node));
    const other = await requestFor('O=system:nodes,CN=system:node:n2');
    await ask('n1', 'for-another', 'kube-apiserver-client-kubelet', client, other);
    for (const token of ['bootstrap', 'shared', 'n1']) {
      await askAs(token, `of-${token}`);
      await signed(`of-${token}`);
    }
    // They were asked before those that are signed by now.
    expect((await get('for-another')).status?.conditions ?? []).toEqual([]);
    await expect(askAs('stranger', 'of-stranger')).rejects.toMatchObject({ code: 403 });
  });

  test('the token to join with is good for nothing but asking', async () => {
    const joining = c.server.client('bootstrap');
    expect((await joining.get(CertificateSigningRequest, { name: 'of-bootstrap' })).metadata.name).toBe('of-bootstrap');
    await expect(joining.list(Node)).rejects.toMatchObject({ code: 403 });
    await expect(joining.delete(CertificateSigningRequest, { name: 'of-bootstrap' })).rejects.toMatchObject({
      code: 403,
    });
  });

  test('the certificate of its port a kubelet gets as soon as its Node has all that it names', async () => {
    await c.client.create(Node, { metadata: { name: 'n1' }, spec: {} });
    const server = ['digital signature', 'server auth'];
    const asked = await requestFor(node, ['n1', '10.0.0.5']);
    await ask('bootstrap', 'serving-of-another', 'kubelet-serving', server, asked);
    await ask('n1', 'serving', 'kubelet-serving', server, asked);
    const addresses = (...all: string[]) => ({
      status: { addresses: all.map((address) => ({ type: address === 'n1' ? 'Hostname' : 'InternalIP', address })) },
    });
    const write = (status: object) => c.client.patch(Node, { name: 'n1' }, status, { subresource: 'status' });
    await write(addresses('n1', '10.0.0.6'));
    expect((await get('serving')).status?.certificate).toBeUndefined();
    await write(addresses('n1', '10.0.0.5'));
    await signed('serving');
    const certificate = new X509Certificate(Buffer.from((await get('serving')).status!.certificate!, 'base64'));
    expect(certificate.subjectAltName).toBe('DNS:n1, IP Address:10.0.0.5');
    expect((await get('serving-of-another')).status?.conditions ?? []).toEqual([]);
  });

  test('another request waits for approval, and one that the signer refuses says why', async () => {
    const spec = { signerName: 'kubernetes.io/kube-apiserver-client', usages: ['server auth'] };
    const made = await c.client.create(CertificateSigningRequest, {
      metadata: { name: 'wrong' },
      spec: { ...spec, request: await requestFor('CN=alice') },
    });
    const conditions = [{ type: 'Approved', status: 'True' as const, reason: 'Me', message: 'yes' }];
    await c.client.update(CertificateSigningRequest, { ...made, status: { conditions } }, { subresource: 'approval' });
    await eventually(async () =>
      expect((await get('wrong')).status?.conditions?.map(({ type }) => type)).toEqual(['Approved', 'Failed']),
    );
    expect((await get('wrong')).status?.certificate).toBeUndefined();
  });

  test('approval takes over conditions of any type and metadata, and gives no verdict back', async () => {
    const spec = { signerName: 'example.com/mine', usages: ['client auth'] };
    await c.client.create(CertificateSigningRequest, {
      metadata: { name: 'judged' },
      spec: { ...spec, request: await requestFor('CN=bob') },
    });
    const approve = async (conditions: object[]) => {
      const { metadata } = await get('judged');
      const patch = {
        metadata: { annotations: { seen: 'yes' } },
        spec: { signerName: 'other/one' },
        status: { conditions },
      };
      return c.client.patch(CertificateSigningRequest, metadata, patch as object, { subresource: 'approval' });
    };
    const looked = { type: 'Looked', status: 'True', reason: 'Me' };
    const approved = { type: 'Approved', status: 'True', reason: 'Me' };
    const after = await approve([looked, approved]);
    expect(after.metadata.annotations).toEqual({ seen: 'yes' });
    expect(after.spec.signerName).toBe('example.com/mine');
    expect(after.status?.conditions?.map(({ type }) => type)).toEqual(['Looked', 'Approved']);
    await expect(approve([looked])).rejects.toThrow('updates may not remove a condition of type "Approved"');
  });
});
