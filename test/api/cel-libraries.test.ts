import { describe, expect, test } from '@jest/globals';
import { compileCel } from '../../api/structural/cel.ts';

const self = { list: [3n, 1n], map: { x: 1n, y: 2n }, text: 'abc', ten: 10n };
const valueOf = (expression: string): unknown => compileCel(expression)({ self });

/** Expressions of Kubernetes' documentation of its libraries, with what they make. */
const examples: Record<string, Record<string, unknown>> = {
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-list-library
  lists: {
    'self.list.isSorted()': false,
    "['a', 'b', 'c'].isSorted()": true,
    '[1, 3].sum()': 4n,
    '[1.0, 3.0].sum()': 4,
    "[duration('1m'), duration('1s')].sum() == duration('1m1s')": true,
    '[1, 3].min()': 1n,
    "['a', 'z'].max()": 'z',
    '[1, 2, 2, 3].indexOf(2)': 1n,
    "['a', 'b', 'b', 'c'].lastIndexOf('b')": 2n,
    'sets.contains(self.list, [1])': true,
    'sets.intersects(self.list, [7])': false,
  },
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-regex-library
  regex: {
    '"abc 123".find(\'[0-9]+\')': '123',
    "'123 abc 456'.findAll('[0-9]+', 1)": ['123'],
    "'123 abc 456'.findAll('[0-9]+')": ['123', '456'],
    "'ABC'.matches('(?i)^abc$')": true,
    "matches(self.text, 'b')": true,
  },
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-url-library
  url: {
    "isURL('https://user:pass@example.com:80/path?query=val#fragment')": true,
    "isURL('/absolute-path')": true,
    "isURL('https://a:b:c/')": false,
    "isURL('../relative-path')": false,
    "url('/path').getScheme()": '',
    "url('https://example.com/').getScheme()": 'https',
    "url('https://example.com:443/').getHost()": 'example.com:443',
    "url('https://[::1]:80/').getHostname()": '::1',
    "url('https://example.com/').getPort()": '',
    "url('https://example.com/path with spaces/').getEscapedPath()": '/path%20with%20spaces/',
    "url('https://example.com').getEscapedPath()": '',
    "url('https://example.com/path?k1=a&k2=b&k2=c').getQuery()": { k1: ['a'], k2: ['b', 'c'] },
    "url('https://example.com/path?').getQuery()": {},
  },
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-ip-address-library
  ip: {
    "isIP('127.0.0.1')": true,
    "isIP(':::1')": false,
    "isIP('::ffff:1.2.3.4')": false,
    "isIP('fe80::1%eth0')": false,
    "ip.isCanonical('2001:db8::abcd')": true,
    "ip.isCanonical('2001:DB8::ABCD')": false,
    "ip('::1').family()": 6n,
    "ip('127.0.0.1') == ip('127.0.0.1')": true,
    "string(ip('2001:DB8::0'))": '2001:db8::',
    "ip('0.0.0.0').isUnspecified()": true,
    "ip('127.9.0.1').isLoopback()": true,
    "ip('224.0.1.1').isLinkLocalMulticast()": false,
    "ip('ff02::1').isLinkLocalMulticast()": true,
    "ip('169.254.169.254').isLinkLocalUnicast()": true,
    "ip('255.255.255.255').isGlobalUnicast()": false,
    "ip('2001:db8::abcd').isGlobalUnicast()": true,
  },
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cidr-library
  cidr: {
    "isCIDR('192.168.0.0/16')": true,
    "isCIDR('::1/129')": false,
    "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))": true,
    "cidr('192.168.0.0/24').containsIP('192.168.1.1')": false,
    "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24')": true,
    "cidr('192.168.1.0/24').containsCIDR(cidr('192.168.0.0/16'))": false,
    "string(cidr('192.168.0.1/24').ip())": '192.168.0.1',
    "cidr('192.168.0.1/24') == cidr('192.168.0.1/24').masked()": false,
    "string(cidr('192.168.0.1/24').masked())": '192.168.0.0/24',
    "cidr('::1/128').prefixLength()": 128n,
  },
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-format-library
  format: {
    "!format.dns1123Label().validate('my-label-name').hasValue()": true,
    "format.dns1123Label().validate('My_name').hasValue()": true,
    "format.dns1035LabelPrefix().validate('my-label-prefix-').hasValue()": false,
    "format.date().validate('2021-13-01').value()": ['invalid date'],
    "format.named('byte').value().validate('aGVsbG8=').hasValue()": false,
    "format.named('nothing').hasValue()": false,
  },
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-semver-library
  semver: {
    "isSemver('1.0.0')": true,
    "isSemver('v1.0')": false,
    "isSemver('v1.0', true)": true,
    "semver('01.01.01', true).minor()": 1n,
    "semver('1.2.3').compareTo(semver('2.0.0'))": -1n,
    "semver('1.2.3').isGreaterThan(semver('1.2.3-alpha.1'))": true,
    "semver('1.2.3') == semver('1.2.3')": true,
  },
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-quantity-library
  quantity: {
    "quantity('1.5k').isInteger()": true,
    "quantity('50k').add(20) == quantity('50020')": true,
    "quantity('50k').sub(quantity('50k')).sign()": 0n,
    "quantity('200M').compareTo(quantity('0.2G'))": 0n,
    "quantity('50k').asInteger()": 50000n,
  },
  // https://pkg.go.dev/github.com/google/cel-go/ext#TwoVarComprehensions
  'loops with index or key': {
    'self.map.all(k, v, k.size() == 1 && v > 0)': true,
    'self.list.exists(i, v, i == 1 && v == 1)': true,
    // An error does not matter where another round decides.
    'self.list.exists(i, v, v == 1 || v / i == 1)': true,
    'self.map.existsOne(k, v, v == 1)': true,
    'self.list.transformList(i, v, i * v)': [0n, 1n],
    'self.map.transformMap(k, v, v > 1, v * 2)': { y: 4n },
    'self.map.transformMapEntry(k, v, {string(v): k})': { 1: 'x', 2: 'y' },
  },
  // https://pkg.go.dev/github.com/google/cel-go/ext#Strings, and what every CEL has
  'texts, times and optionals': {
    "'%s and %d'.format([['a', 1], 2])": '["a", 1] and 2',
    "strings.quote('a\"b')": '"a\\"b"',
    "string(timestamp('2024-01-01T00:00:00Z'))": '2024-01-01T00:00:00Z',
    "string(duration('1h'))": '3600s',
    'self.?ten.optMap(n, n + 1).orValue(0)': 11n,
    "optional.ofNonZeroValue('').hasValue()": false,
    'self.list.first().value()': 3n,
  },
};

describe.each(Object.entries(examples))('%s', (_library, cases) => {
  test.each(Object.entries(cases))('%s', (expression, value) => {
    expect(valueOf(expression)).toEqual(value);
  });
});

test.each([
  ["ip('127.0.0.256')", /parse error/],
  ["cidr('192.168.0.0/33')", /parse error/],
  ["url('../relative-path')", /URL parse error/],
  ["semver('Three')", /no semantic version/],
  ["quantity('1.5').asInteger()", /cannot convert value to integer/],
  ["'a'.matches('(')", /invalid matches argument/],
])('%s is an error', (expression, words) => {
  expect(() => valueOf(expression)).toThrow(words);
});

test('a pattern takes no longer than its text is long', () => {
  expect(compileCel("self.text.matches('^(a+)+$')")({ self: { text: `${'a'.repeat(40)}!` } })).toBe(false);
});
