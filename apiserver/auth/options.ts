import { duration, flag, list, text, type Values } from '../../lib/options.ts';

/** Who is let in, and who may do what. */
export const authOptions = {
  clientCaFile: text('CA of client certificates (PEM); CN is the user, O the groups', '', '<file>'),
  tokenAuthFile: text('File of token,user,uid,"group,group" lines', '', '<file>'),
  anonymousAuth: flag('Let those in who show no credentials, as system:anonymous', true),
  enableBootstrapTokenAuth: flag('Accept the tokens of bootstrap.kubernetes.io/token Secrets in kube-system'),
  apiAudiences: list('What tokens must be meant for; the issuers unless set', [], '<name,name>'),
  serviceAccountIssuer: list('Issuers of service-account tokens; the first one issues', [], '<url,url>'),
  serviceAccountKeyFile: list(
    'Keys that check service-account tokens (PEM); the signing key unless set',
    [],
    '<files>',
  ),
  serviceAccountSigningKeyFile: text('Key that signs service-account tokens (PEM, RSA or ECDSA)', '', '<file>'),
  serviceAccountJwksUri: text('Where others find the keys; this server’s own address unless set', '', '<url>'),
  serviceAccountMaxTokenExpiration: duration('Longest life of a service-account token; 0 for no limit', 0),
  oidcIssuerUrl: text('Issuer of OpenID Connect users, an https URL', '', '<url>'),
  oidcClientId: text('Audience that ID tokens must be meant for'),
  oidcUsernameClaim: text('Claim that names the user', 'sub'),
  oidcUsernamePrefix: text('Put before user names; - for nothing, and the issuer unless set'),
  oidcGroupsClaim: text('Claim that lists the groups'),
  oidcGroupsPrefix: text('Put before groups'),
  oidcRequiredClaim: list('key=value pairs that an ID token must have', [], '<key=value,…>'),
  oidcSigningAlgs: list('Algorithms of ID tokens', ['RS256'], '<name,name>'),
  oidcCaFile: text('CA of the issuer (PEM)', '', '<file>'),
  requestheaderClientCaFile: text('CA of authenticating proxies (PEM)', '', '<file>'),
  requestheaderAllowedNames: list('Common names of authenticating proxies; every one unless set', [], '<name,name>'),
  requestheaderUsernameHeaders: list('Headers in which a proxy names the user', ['X-Remote-User'], '<names>'),
  requestheaderUidHeaders: list('Headers in which a proxy tells the user’s uid', ['X-Remote-Uid'], '<names>'),
  requestheaderGroupHeaders: list('Headers in which a proxy lists groups', ['X-Remote-Group'], '<names>'),
  requestheaderExtraHeadersPrefix: list('Beginnings of headers with more', ['X-Remote-Extra-'], '<prefixes>'),
  authenticationTokenWebhookConfigFile: text('Kubeconfig of a webhook that knows tokens', '', '<file>'),
  authenticationTokenWebhookVersion: text('Version of authentication.k8s.io it is asked in', 'v1'),
  authenticationTokenWebhookCacheTtl: duration('How long it is believed', 120_000),
  authorizationMode: list('Who decides, in this order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny', ['Node', 'RBAC']),
  authorizationWebhookConfigFile: text('Kubeconfig of a webhook that decides', '', '<file>'),
  authorizationWebhookVersion: text('Version of authorization.k8s.io it is asked in', 'v1'),
  authorizationWebhookCacheAuthorizedTtl: duration('How long its yes is believed', 300_000),
  authorizationWebhookCacheUnauthorizedTtl: duration('How long its no is believed', 30_000),
} as const;

export type AuthOptions = Values<typeof authOptions>;
