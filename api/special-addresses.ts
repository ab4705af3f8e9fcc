import { contains, parseAddress, parseCidr } from './cidr.ts';
import { bad } from './field-error.ts';
import type { FieldError } from './kind.ts';

const ranges = (...all: [range: string, words: string][]) =>
  all.map(([range, words]) => ({ range: parseCidr(range)!, words }));

const loopback = ranges(
  ['127.0.0.0/8', 'loopback range (127.0.0.0/8, ::1/128)'],
  ['::1/128', 'loopback range (127.0.0.0/8, ::1/128)'],
);
const linkLocal = ranges(
  ['169.254.0.0/16', 'link-local range (169.254.0.0/16, fe80::/10)'],
  ['fe80::/10', 'link-local range (169.254.0.0/16, fe80::/10)'],
  ['224.0.0.0/24', 'link-local multicast range (224.0.0.0/24, ff02::/10)'],
  ['ff02::/16', 'link-local multicast range (224.0.0.0/24, ff02::/10)'],
);

const notIn = (ip: string, field: string, forbidden: ReturnType<typeof ranges>): FieldError[] => {
  const address = parseAddress(ip);
  if (!address) return [];
  if (address.value === 0n) return [bad(field, ip, `may not be unspecified (${ip})`)];
  const found = forbidden.find(({ range }) => contains(range, address));
  return found ? [bad(field, ip, `may not be in the ${found.words}`)] : [];
};

/** An address that every machine understands alike. What is no address at all is for others to say. */
export const notSpecial = (ip: string, field: string): FieldError[] => notIn(ip, field, [...loopback, ...linkLocal]);

/** Likewise, but one of this machine may be meant: a cluster that all runs on one has its endpoints there. */
export const notLinkLocal = (ip: string, field: string): FieldError[] => notIn(ip, field, linkLocal);
