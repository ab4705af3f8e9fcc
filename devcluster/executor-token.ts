/** Executor tokens: JSON web tokens, HS256, as the agents of Mesos make and read them. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { syntaxError } from './http.ts';

/** `cid` is its container, `eid` the executor, `fid` its framework. */
export type Claims = Readonly<Record<string, string>>;

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const signatureOf = (text: string, key: string): Buffer => createHmac('sha256', key).update(text).digest();

export function createToken(claims: Claims, key: string): string {
  const text = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`;
  return `${text}.${signatureOf(text, key).toString('base64url')}`;
}

/** The claims, or what is wrong, in Mesos' words. */
export function readToken(token: string, key: string): Claims | string {
  const parts = token.split('.');
  const [head = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3) return `Expected 3 components in token, got ${parts.length}`;
  const header = decoded(head);
  if (typeof header === 'string') return `Failed to decode token header: ${header}`;
  const { alg } = header;
  if (alg === undefined) return "Failed to locate 'alg' in token JSON header";
  if (alg !== 'HS256') return `Token 'alg' value "${alg}" does not match, expected "HS256"`;
  const claims = decoded(payload);
  if (typeof claims === 'string') return `Failed to decode token payload: ${claims}`;
  const [given, right] = [Buffer.from(signature, 'base64url'), signatureOf(`${head}.${payload}`, key)];
  if (given.length !== right.length || !timingSafeEqual(given, right)) return 'Token signature does not match';
  return Object.keys(claims).length === 0 ? 'JWT claims missing' : claims;
}

function decoded(part: string): Record<string, string> | string {
  const text = Buffer.from(part, 'base64url').toString('latin1');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return 'Failed to parse into JSON';
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, typeof one === 'string' ? one : JSON.stringify(one)]),
    );
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return `Failed to parse into JSON: ${syntaxError(error.message, text)}`;
  }
}
