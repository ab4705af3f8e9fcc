import { randomBytes } from 'node:crypto';

/** No vowels and no look-alikes: what Kubernetes makes generated names of. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** The five characters behind a generateName. */
export function randomSuffix(): string {
  let out = '';
  for (const byte of randomBytes(5)) out += alphabet[byte % alphabet.length];
  return out;
}
