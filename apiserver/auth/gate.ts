import { readFileSync } from 'node:fs';
import { Pod } from '../../api/kinds/pod.ts';
import type { Logger } from '../../lib/log.ts';
import type { Feed } from '../feed.ts';
import { Authenticator, type TokenUsers } from './authenticate.ts';
import { alwaysAllow, alwaysDeny, inTurn, type Authorizer } from './authorize.ts';
import { BootstrapTokens } from './bootstrap-tokens.ts';
import { CertificateUsers } from './certificates.ts';
import { IssuerDocuments } from './issuer-documents.ts';
import type { Lookup } from './lookup.ts';
import { nodeAuthorizer, type PodView } from './nodes.ts';
import { OidcTokens } from './oidc.ts';
import type { AuthOptions } from './options.ts';
import { ProxiedUsers } from './proxied-users.ts';
import type { Rbac } from './rbac.ts';
import { ServiceAccountTokens } from './service-account-tokens.ts';
import { TokenUses } from './token-uses.ts';
import { readKeys, readSigningKey } from '../../lib/signing-keys.ts';
import { readTokenFile, StaticTokens, type Token } from './static-tokens.ts';
import { WebhookAuthorizer, WebhookTokens } from './webhooks.ts';
import type { Gate } from '../dispatch.ts';

/** All that the options say of who may enter and do what. */
export interface Guard extends Gate {
  documents: IssuerDocuments;
  tokenUses: TokenUses;
}

const modes = ['Node', 'RBAC', 'Webhook', 'AlwaysAllow', 'AlwaysDeny'] as const;

/** Throws an Error in a sentence when options do not fit together or a file cannot be used. */
export function openGate(
  o: AuthOptions,
  lookup: Lookup,
  authorizer: Authorizer,
  tokens: readonly Token[],
  log: Logger,
): Guard {
  const keys = tokenKeys(o);
  const tokenUses = new TokenUses();
  const accounts = new ServiceAccountTokens({ issuers: o.serviceAccountIssuer, ...keys, lookup, uses: tokenUses });
  const audiences = o.apiAudiences.length > 0 ? o.apiAudiences : o.serviceAccountIssuer;
  const authenticator = new Authenticator({
    certificates: new CertificateUsers(o.requestheaderClientCaFile ? fileOf(o.clientCaFile) : undefined),
    ...(o.requestheaderClientCaFile ? { proxied: proxiesOf(o) } : {}),
    tokens: [
      new StaticTokens([...(o.tokenAuthFile ? readTokenFile(o.tokenAuthFile) : []), ...tokens]),
      ...(o.enableBootstrapTokenAuth ? [new BootstrapTokens(lookup)] : []),
      accounts,
      ...otherTokens(o, audiences),
    ],
    audiences: audiences.length > 0 ? audiences : ['api'],
    allowsAnonymous: o.anonymousAuth,
    log,
  });
  return {
    authenticator,
    authorizer,
    giver: { tokens: accounts, lookup, audiences, maxSeconds: o.serviceAccountMaxTokenExpiration / 1000 },
    documents: new IssuerDocuments(o.serviceAccountIssuer[0], o.serviceAccountJwksUri, keys.keys),
    tokenUses,
  };
}

function tokenKeys(o: AuthOptions) {
  const { serviceAccountSigningKeyFile: path, serviceAccountKeyFile: files, serviceAccountIssuer: issuers } = o;
  if ((path || files.length > 0) && issuers.length === 0)
    throw new Error('keys of service-account tokens are useless without an issuer: set --service-account-issuer');
  const signingKey = path ? readSigningKey(readFileSync(path, 'utf8'), path) : undefined;
  const given = files.flatMap((file) => readKeys(readFileSync(file, 'utf8'), file));
  return { signingKey, keys: [...(signingKey && files.length === 0 ? [signingKey] : []), ...given] };
}

const fileOf = (path: string): Buffer | undefined => (path ? readFileSync(path) : undefined);

function proxiesOf(o: AuthOptions): ProxiedUsers {
  return new ProxiedUsers({
    ca: readFileSync(o.requestheaderClientCaFile),
    allowedNames: o.requestheaderAllowedNames,
    userHeaders: o.requestheaderUsernameHeaders,
    uidHeaders: o.requestheaderUidHeaders,
    groupHeaders: o.requestheaderGroupHeaders,
    extraPrefixes: o.requestheaderExtraHeadersPrefix,
  });
}

/** Those that have to be asked over the network: last. */
function otherTokens(o: AuthOptions, audiences: readonly string[]): TokenUsers[] {
  const ca = fileOf(o.oidcCaFile);
  if (o.oidcIssuerUrl && !o.oidcClientId) throw new Error('--oidc-issuer-url needs --oidc-client-id beside it');
  const oidc = () =>
    new OidcTokens({
      issuerUrl: o.oidcIssuerUrl,
      clientId: o.oidcClientId,
      usernameClaim: o.oidcUsernameClaim,
      usernamePrefix: o.oidcUsernamePrefix,
      groupsClaim: o.oidcGroupsClaim,
      groupsPrefix: o.oidcGroupsPrefix,
      requiredClaims: o.oidcRequiredClaim,
      signingAlgorithms: o.oidcSigningAlgs,
      ...(ca ? { ca } : {}),
    });
  const webhook = () =>
    new WebhookTokens(
      o.authenticationTokenWebhookConfigFile,
      o.authenticationTokenWebhookVersion,
      audiences,
      o.authenticationTokenWebhookCacheTtl,
    );
  return [...(o.oidcIssuerUrl ? [oidc()] : []), ...(o.authenticationTokenWebhookConfigFile ? [webhook()] : [])];
}

/** The authorizers that --authorization-mode names, in its order. */
export function authorizerOf(o: AuthOptions, feed: Feed, rbac: Rbac, log: Logger): Authorizer {
  const webhook = () => {
    if (!o.authorizationWebhookConfigFile)
      throw new Error('--authorization-mode has Webhook: name it with --authorization-webhook-config-file');
    const ttl = { yes: o.authorizationWebhookCacheAuthorizedTtl, no: o.authorizationWebhookCacheUnauthorizedTtl };
    return new WebhookAuthorizer(o.authorizationWebhookConfigFile, o.authorizationWebhookVersion, ttl, log);
  };
  const byMode: Record<(typeof modes)[number], () => Authorizer> = {
    Node: () => nodeAuthorizer(podsOf(feed)),
    RBAC: () => rbac,
    Webhook: webhook,
    AlwaysAllow: () => alwaysAllow,
    AlwaysDeny: () => alwaysDeny,
  };
  return inTurn(
    o.authorizationMode.map((mode) => {
      const make = byMode[mode as (typeof modes)[number]];
      if (!make) throw new Error(`--authorization-mode: there is no "${mode}"; there are ${modes.join(', ')}`);
      return make();
    }),
  );
}

/** Pods for the authorizer, out of the cache. */
function podsOf(feed: Feed): PodView {
  const pods = feed.cache(Pod);
  return {
    pod: (namespace, name) => pods.get(`${namespace}/${name}`)?.object as Pod | undefined,
    podsIn: (namespace) => pods.list(namespace).map(({ object }) => object as Pod),
    volumes: () =>
      feed
        .cacheIfServed({ group: '', plural: 'persistentvolumes' })
        ?.list()
        .map(({ object }) => object) ?? [],
    named: (group, plural, name) => feed.cacheIfServed({ group, plural })?.get(name)?.object,
  };
}
