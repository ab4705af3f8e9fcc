import { X509Certificate } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { createAuthority, expiry, fingerprint, issue, selfSigned } from '../../lib/certs.ts';

test('an authority issues certificates that Node takes for its own, with user, groups and hosts', async () => {
  const authority = await createAuthority('km test');
  const leaf = await issue(authority, {
    commonName: 'jane',
    organizations: ['a', 'b'],
    hosts: ['localhost', '127.0.0.1', '::1'],
  });
  const cert = new X509Certificate(leaf.cert);
  expect(cert.verify(new X509Certificate(authority.cert).publicKey)).toBe(true);
  expect(cert.subject).toBe('O=a\nO=b\nCN=jane');
  expect(cert.checkHost('localhost')).toBe('localhost');
  expect(cert.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(cert.checkIP('::1')).toBeDefined();
  expect(cert.checkHost('elsewhere')).toBeUndefined();
  expect(expiry(leaf.cert) - Date.now()).toBeGreaterThan(300 * 86_400_000);
});

test('another authority’s certificate does not verify', async () => {
  const [one, other] = [await createAuthority('one'), await createAuthority('other')];
  const leaf = await issue(other, { commonName: 'eve' });
  expect(new X509Certificate(leaf.cert).verify(new X509Certificate(one.cert).publicKey)).toBe(false);
});

test('the fingerprint is what Node calls fingerprint256', async () => {
  const { cert } = await selfSigned({ commonName: 'kubelet', hosts: ['127.0.0.1'] });
  expect(fingerprint(cert)).toBe(new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase());
});
