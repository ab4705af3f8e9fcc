import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import { ClusterRoleBinding } from '../../api/kinds/cluster-role-binding.ts';
import type { Stored } from '../../api/meta.ts';
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
    c = await startControllers({ clusterSigningCertFile, clusterSigningKeyFile });
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
