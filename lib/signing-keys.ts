import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { exportJWK, type JWK } from 'jose';

/** A key that signs or checks service-account tokens. */
export interface TokenKey {
  /** Names the key in a token's header: SHA-256 of its public part. */
  id: string;
  algorithm: string;
  publicKey: KeyObject;
}

const curves: Record<string, string> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

/** Every key of a PEM file, public or private; throws an Error that names what is wrong with the file. */
export function readKeys(pem: string, path: string): TokenKey[] {
  const blocks = pem.match(/-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g) ?? [];
  const keys = blocks.filter((block) => !block.includes('EC PARAMETERS')).map((block) => createPublicKey(block));
  if (keys.length === 0) throw new Error(`${path} holds no key: it should be a PEM file of RSA or ECDSA keys`);
  return keys.map((publicKey) => tokenKey(publicKey, path));
}

export function readSigningKey(pem: string, path: string): TokenKey & { privateKey: KeyObject } {
  const block = /-----BEGIN (?:RSA |EC )?PRIVATE KEY-----[\s\S]+?-----END (?:RSA |EC )?PRIVATE KEY-----/.exec(pem)?.[0];
  if (!block) throw new Error(`${path} holds no private key: it should be a PEM file of an RSA or ECDSA key`);
  const privateKey = createPrivateKey(block);
  return { ...tokenKey(createPublicKey(privateKey), path), privateKey };
}

function tokenKey(publicKey: KeyObject, path: string): TokenKey {
  const curve = publicKey.asymmetricKeyDetails?.namedCurve ?? '';
  const algorithm = publicKey.asymmetricKeyType === 'rsa' ? 'RS256' : curves[curve];
  if (!algorithm) throw new Error(`${path}: a ${publicKey.asymmetricKeyType ?? 'strange'} key cannot sign tokens`);
  const der = publicKey.export({ format: 'der', type: 'spki' });
  return { id: createHash('sha256').update(der).digest('base64url'), algorithm, publicKey };
}

/** The public keys as `/openid/v1/jwks` shows them. */
export async function keySet(keys: readonly TokenKey[]): Promise<{ keys: JWK[] }> {
  const all = keys.map(async ({ id, algorithm, publicKey }) => ({
    use: 'sig',
    ...(await exportJWK(publicKey)),
    kid: id,
    alg: algorithm,
  }));
  return { keys: await Promise.all(all) };
}
