import { createLocalJWKSet, decodeJwt, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import { Agent, EnvHttpProxyAgent, request, type Dispatcher } from 'undici';
import type { Known, TokenUsers } from './authenticate.ts';
import { authenticated } from './user.ts';

export interface OidcOptions {
  issuerUrl: string;
  clientId: string;
  usernameClaim: string;
  /** '-' for none; '' puts the issuer before every claim but email. */
  usernamePrefix: string;
  groupsClaim: string;
  groupsPrefix: string;
  /** `key=value` that a token must have. */
  requiredClaims: readonly string[];
  signingAlgorithms: readonly string[];
  /** PEM of who signed the issuer's certificate; that of the system unless given. */
  ca?: Buffer;
}

const patience = 10_000;
/** Keys are asked for at most so often, however many tokens name strange ones. */
const refreshMs = 10_000;

/** Users of an OpenID Connect provider, by their ID tokens. */
export class OidcTokens implements TokenUsers {
  readonly #options: OidcOptions;
  readonly #agent: Dispatcher;
  #keys: { set: ReturnType<typeof createLocalJWKSet>; at: number } | undefined;

  constructor(options: OidcOptions) {
    if (!options.issuerUrl.startsWith('https://'))
      throw new Error(`--oidc-issuer-url: "${options.issuerUrl}" should begin with https://`);
    this.#options = options;
    const connect = options.ca ? { ca: options.ca } : {};
    this.#agent = options.ca ? new Agent({ connect }) : new EnvHttpProxyAgent({ connect });
  }

  identify(token: string): undefined | Promise<Known | undefined> {
    return issuedBy(token, this.#options.issuerUrl) ? this.#verified(token) : undefined;
  }

  async #verified(token: string): Promise<Known | undefined> {
    try {
      return this.#userOf(await this.#claims(token, false));
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey)
        return this.#claims(token, true).then((claims) => this.#userOf(claims), ignoreJose);
      return ignoreJose(error);
    }
  }

  async #claims(token: string, anew: boolean): Promise<JWTPayload> {
    const { issuerUrl: issuer, clientId: audience, signingAlgorithms } = this.#options;
    const keys = await this.#keySet(anew);
    const { payload } = await jwtVerify(token, keys, { issuer, audience, algorithms: [...signingAlgorithms] });
    return payload;
  }

  async #keySet(anew: boolean): Promise<ReturnType<typeof createLocalJWKSet>> {
    if (this.#keys && !(anew && Date.now() - this.#keys.at > refreshMs)) return this.#keys.set;
    const url = `${this.#options.issuerUrl.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const { issuer, jwks_uri: uri } = (await this.#read(url)) as { issuer?: string; jwks_uri?: string };
    if (issuer !== this.#options.issuerUrl || !uri)
      throw new Error(`${url} speaks for the issuer "${issuer ?? ''}", not for "${this.#options.issuerUrl}"`);
    this.#keys = { set: createLocalJWKSet((await this.#read(uri)) as JSONWebKeySet), at: Date.now() };
    return this.#keys.set;
  }

  async #read(url: string): Promise<unknown> {
    const { statusCode, body } = await request(url, {
      dispatcher: this.#agent,
      signal: AbortSignal.timeout(patience),
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}`);
    return JSON.parse(text) as unknown;
  }

  #userOf(claims: JWTPayload): Known | undefined {
    const { usernameClaim, groupsClaim, groupsPrefix, requiredClaims } = this.#options;
    const name = claims[usernameClaim];
    if (typeof name !== 'string' || name === '') return undefined;
    if (usernameClaim === 'email' && claims['email_verified'] === false) return undefined;
    for (const pair of requiredClaims) {
      const [key = '', value] = pair.split(/=(.*)/s);
      if (claims[key] !== value) return undefined;
    }
    const given = groupsClaim ? claims[groupsClaim] : [];
    const groups = (Array.isArray(given) ? given : [given]).filter((group) => typeof group === 'string');
    return {
      user: authenticated({
        name: this.#prefix() + name,
        groups: groups.map((group) => groupsPrefix + group),
      }),
    };
  }

  #prefix(): string {
    const { usernamePrefix, usernameClaim, issuerUrl } = this.#options;
    if (usernamePrefix === '-') return '';
    return usernamePrefix || (usernameClaim === 'email' ? '' : `${issuerUrl}#`);
  }
}

function issuedBy(token: string, issuer: string): boolean {
  if (token.split('.').length !== 3) return false;
  try {
    return decodeJwt(token).iss === issuer;
  } catch {
    return false; // not a JWT
  }
}

function ignoreJose(error: unknown): undefined {
  if (error instanceof errors.JOSEError) return undefined;
  throw error;
}
