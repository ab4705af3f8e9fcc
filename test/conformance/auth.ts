import type { Section } from './section.ts';

const objects = 'controllers/conformance-machinery.test.ts';

export const auth: Section = {
  covers: /^\[sig-(auth|instrumentation)\]/,
  specs: {
    'Certificates API should support CSR API operations': objects,
    'Events API should delete a collection of events': objects,
    'Events API should ensure that an event can be fetched, patched, deleted, and listed': objects,
    'Events should delete a collection of events': objects,
    'Events should ensure that an event can be fetched, patched, deleted, and listed': objects,
    'ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer': [
      'apiserver/auth/service-account-tokens.test.ts',
      'anybody can check it with the published keys',
    ],
    'ServiceAccounts should allow opting out of API token automount': objects,
    'ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace': objects,
    'ServiceAccounts should mount an API token into pods': [
      'cluster/service-account.suite.ts',
      'a pod finds a token in its file system, and is known and let by it',
    ],
    'ServiceAccounts should mount projected service account token': 'cluster/service-account.suite.ts',
    'ServiceAccounts should run through the lifecycle of a ServiceAccount': objects,
  },
};
