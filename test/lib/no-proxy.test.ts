import { describe, expect, test } from '@jest/globals';
import { isExcepted, noProxyOf, proxyFor } from '../../lib/no-proxy.ts';

describe('isExcepted', () => {
  test.each([
    ['etcd.corp', 2379, '*', true],
    ['etcd.corp', 2379, 'corp', true],
    ['etcd.corp', 2379, '.corp', true],
    ['etcd.corp', 2379, '*.corp', true],
    ['corp', 80, '.corp', false],
    ['corp', 80, 'CORP', true],
    ['notcorp', 80, 'corp', false],
    ['10.1.2.3', 80, '10.0.0.0/8', true],
    ['11.1.2.3', 80, '10.0.0.0/8', false],
    ['10.1.2.3', 80, '10.1.2.3', true],
    ['10.1.2.3', 80, '2.3', false],
    ['10.1.2.3', 80, '10.0.0.0/64', false],
    ['fd00::1', 80, 'fd00::/8', true],
    ['fd00::1', 80, 'fd00::1', true],
    ['fd00::1', 443, '[fd00::1]:443', true],
    ['etcd', 2379, 'etcd:2379', true],
    ['etcd', 2380, 'etcd:2379', false],
    ['etcd', 2380, '/8', false],
  ])('%s:%d by %s: %s', (host, port, entry, expected) => {
    expect(isExcepted(host, port, ['other', entry])).toBe(expected);
  });
});

describe('proxyFor', () => {
  const env = {
    HTTPS_PROXY: 'http://user:secret@proxy:3128',
    all_proxy: 'socks5://p',
    NO_PROXY: 'a.corp, 10.0.0.0/8 b',
  };

  test('tells the proxy of the scheme, the variable that names it, and no password', () => {
    expect(proxyFor('https://c.corp', env)).toEqual({ proxy: 'http://…@proxy:3128', variable: 'HTTPS_PROXY' });
    expect(proxyFor('http://c.corp', env)).toEqual({ proxy: 'socks5://p', variable: 'all_proxy' });
  });

  test('nobody looks for ZooKeeper behind a proxy, nor for what NO_PROXY has', () => {
    for (const url of ['zk://c.corp:2181', 'https://a.corp', 'https://10.9.9.9:1', 'http://b', 'http://x.b'])
      expect(proxyFor(url, env)).toBeUndefined();
    expect(proxyFor('https://c.corp', {})).toBeUndefined();
  });

  test('the lower-case twin counts first', () => {
    expect(noProxyOf({ no_proxy: 'a', NO_PROXY: 'b' })).toEqual(['a']);
    expect(proxyFor('http://c', { http_proxy: 'http://one', HTTP_PROXY: 'http://two' })?.proxy).toBe('http://one');
  });
});
