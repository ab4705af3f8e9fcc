/**
 * A CA is replaced in three steps; after each, servers are started again and clients get what is new, so that nobody ever
 * meets a certificate that he does not trust yet. docs/operations.md has the whole way.
 *
 *   step      ca.crt: trusted     ca.key: signs    ca-next.key
 *   ─         old                 old              ─
 *   trust     old, new            old              new
 *   renew     new, old            new              ─               and every certificate is made anew
 *   drop      new                 new              ─
 *
 * Each step can be taken again where it was cut short.
 */
import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../../lib/certs.ts';
import { readCertificates } from '../../lib/read-certificates.ts';
import { replaceFile } from '../../lib/replace-file.ts';
import { filesOf, readPair } from './files.ts';
import { type AuthorityName, holders, readAuthority, titles } from './pki.ts';

export const steps = ['trust', 'renew', 'drop'] as const;
export type Step = (typeof steps)[number];

/** What comes next; `trust` where no rotation is under way. Throws an Error that says what to do where there is no CA that can be used. */
export function nextStep(directory: string, name: AuthorityName): Step {
  const { trusted, next } = read(directory, name);
  // Between two writes of `renew` the key that signs is still the old one's.
  if (trusted.length > 1 && next) return 'renew';
  readAuthority(directory, name);
  return trusted.length > 1 ? 'drop' : 'trust';
}

/** Makes the next CA, beside the one that goes on signing. */
export async function trustNext(directory: string, name: AuthorityName, now = Date.now()): Promise<void> {
  expectStep(directory, name, 'trust');
  const { trusted, files } = read(directory, name);
  const next = await createAuthority(`${titles[name]} of ${new Date(now).toISOString()}`, now);
  // Without its certificate the key is nothing: a step that ends here is begun anew.
  replaceFile(nextKey(directory, name), next.key);
  replaceFile(files.cert, pemOf([...trusted, new X509Certificate(next.cert)]));
}

/** The next CA signs from now on. Certificates are still the old one's. */
export function signByNext(directory: string, name: AuthorityName): void {
  expectStep(directory, name, 'renew');
  const { trusted, files, next } = read(directory, name);
  const isNext = (certificate: X509Certificate) => next !== undefined && certificate.checkPrivateKey(next);
  replaceFile(files.cert, pemOf([...trusted.filter(isNext), ...trusted.filter((one) => !isNext(one))]));
  renameSync(nextKey(directory, name), files.key);
}

/** The old CA is no longer trusted. Throws an Error where a certificate of the directory is still its. */
export function dropOld(directory: string, name: AuthorityName): void {
  expectStep(directory, name, 'drop');
  const { trusted, files } = read(directory, name);
  const [current] = trusted;
  const old = Object.entries(holders)
    .filter(([, { by }]) => by === name)
    .map(([holder]) => holder)
    .filter((holder) => {
      const pair = readPair(directory, holder);
      return !pair || !current || !new X509Certificate(pair.cert).verify(current.publicKey);
    });
  if (old.length > 0)
    throw new Error(`${old.join(', ')} are not of the new CA yet: km pki renew --dir ${directory} makes them anew`);
  replaceFile(files.cert, pemOf(trusted.slice(0, 1)));
}

const sentences: Readonly<Record<Step, string>> = {
  trust: 'it is not being replaced; --step trust begins to',
  renew:
    'a new CA is trusted beside the old one and has signed nothing yet: go on with --step renew, once all servers and clients trust it',
  drop: 'the new CA signs and the old one is still trusted: end with --step drop, once nobody shows a certificate of the old one',
};

/** How far it is, in a sentence. */
export const sentenceOf = (step: Step): string => sentences[step];

function expectStep(directory: string, name: AuthorityName, step: Step): void {
  const next = nextStep(directory, name);
  if (next !== step) throw new Error(`it is not the time for --step ${step} of ${name}: ${sentences[next]}`);
}

interface State {
  files: { cert: string; key: string };
  trusted: X509Certificate[];
  next: KeyObject | undefined;
}

function read(directory: string, name: AuthorityName): State {
  const files = filesOf(directory, name);
  const trusted = existsSync(files.cert) ? readCertificates(readFileSync(files.cert)) : [];
  const path = nextKey(directory, name);
  return { files, trusted, next: existsSync(path) ? createPrivateKey(readFileSync(path)) : undefined };
}

const nextKey = (directory: string, name: AuthorityName): string => join(directory, `${name}-next.key`);

const pemOf = (certificates: readonly X509Certificate[]): string =>
  certificates.map((certificate) => certificate.toString()).join('');
