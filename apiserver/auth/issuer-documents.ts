import { keySet, type TokenKey } from '../../lib/signing-keys.ts';

/** What others need to check service-account tokens themselves: the issuer's discovery document and its keys. */
export class IssuerDocuments {
  readonly #issuer: string | undefined;
  readonly #keysUri: string;
  readonly #keys: readonly TokenKey[];

  constructor(issuer: string | undefined, keysUri: string, keys: readonly TokenKey[]) {
    this.#issuer = issuer;
    this.#keysUri = keysUri;
    this.#keys = keys;
  }

  /** Undefined when nothing is served at the path; `address` is host:port of this server. */
  async at(path: string, address: string): Promise<{ value: object; contentType: string } | undefined> {
    if (this.#issuer === undefined || this.#keys.length === 0) return undefined;
    if (path === '/openid/v1/jwks') return { value: await keySet(this.#keys), contentType: 'application/jwk-set+json' };
    if (path !== '/.well-known/openid-configuration') return undefined;
    const value = {
      issuer: this.#issuer,
      jwks_uri: this.#keysUri || `https://${address}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [...new Set(this.#keys.map(({ algorithm }) => algorithm))],
    };
    return { value, contentType: 'application/json' };
  }
}
