/** No vowels and no look-alikes: what Kubernetes makes generated names of. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** The five characters behind a generateName: to tell names apart, no secret. */
export function randomSuffix(): string {
  let out = '';
  while (out.length < 5) out += alphabet[Math.floor(Math.random() * alphabet.length)];
  return out;
}
