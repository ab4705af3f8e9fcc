import { byTitle, type Section } from './section.ts';

/** File → the names that are titles of its tests. */
const sameTitles: Readonly<Record<string, readonly string[]>> = {
  'apiserver/conformance-webhooks.test.ts': [
    'AdmissionWebhook should include webhook resources in discovery documents',
    'AdmissionWebhook should be able to deny pod and configmap creation',
    'AdmissionWebhook should be able to deny attaching pod',
    'AdmissionWebhook should be able to deny custom resource creation, update and deletion',
    'AdmissionWebhook should unconditionally reject operations on fail closed webhook',
    'AdmissionWebhook listing mutating webhooks should work',
    'AdmissionWebhook listing validating webhooks should work',
    'AdmissionWebhook patching/updating a mutating webhook should work',
    'AdmissionWebhook patching/updating a validating webhook should work',
    'AdmissionWebhook should mutate configmap',
    'AdmissionWebhook should mutate pod and apply defaults after mutation',
    'AdmissionWebhook should not be able to mutate or prevent deletion of webhook configuration objects',
    'AdmissionWebhook should mutate custom resource',
    'AdmissionWebhook should deny crd creation',
    'AdmissionWebhook should mutate custom resource with different stored version',
    'AdmissionWebhook should mutate custom resource with pruning',
    'AdmissionWebhook should honor timeout',
  ],
  'apiserver/conformance-custom-resources.test.ts': [
    'CustomResourceDefinition resources Simple CustomResourceDefinition creating/deleting custom resource definition objects works',
    'CustomResourceDefinition resources Simple CustomResourceDefinition listing custom resource definition objects works',
    'CustomResourceDefinition resources Simple CustomResourceDefinition getting/updating/patching custom resource definition status sub-resource works',
    'CustomResourceDefinition resources should include custom resource definition resources in discovery documents',
    'CustomResourceDefinition resources custom resource defaulting for requests and from storage works',
    'CustomResourceDefinition Watch CustomResourceDefinition Watch watch on custom resource definition objects',
    'CustomResourceConversionWebhook should be able to convert from CR v1 to CR v2',
    'CustomResourceConversionWebhook should be able to convert a non homogeneous list of CRs',
    'CustomResourcePublishOpenAPI works for CRD with validation schema',
    'CustomResourcePublishOpenAPI works for CRD without validation schema',
    'CustomResourcePublishOpenAPI works for CRD preserving unknown fields at the schema root',
    'CustomResourcePublishOpenAPI works for CRD preserving unknown fields in an embedded object',
    'CustomResourcePublishOpenAPI works for multiple CRDs of different groups',
    'CustomResourcePublishOpenAPI works for multiple CRDs of same group but different versions',
    'CustomResourcePublishOpenAPI works for multiple CRDs of same group and version but different kinds',
    'CustomResourcePublishOpenAPI updates the published spec when one version gets renamed',
    'CustomResourcePublishOpenAPI removes definition from spec when one version gets changed to not be served',
  ],
  'apiserver/conformance-watch.test.ts': [
    'Watchers should observe add, update, and delete watch notifications on configmaps',
    'Watchers should be able to start watching from a specific resource version',
    'Watchers should be able to restart watching from the last resource version observed by the previous watch',
    'Watchers should observe an object deletion if it stops meeting the requirements of the selector',
    'Watchers should receive events on concurrent watches in same order',
    'Discovery should validate PreferredVersion for each APIGroup',
    'Servers with support for Table transformation should return a 406 for a backend which does not implement metadata',
    'server version should find the server version',
  ],
};

/** What the apiserver answers for itself. */
export const apiMachinery: Section = {
  covers:
    /^\[sig-api-machinery\] (AdmissionWebhook|Aggregator|CustomResource|Discovery|Servers|Watchers|server version)/,
  specs: {
    ...byTitle(sameTitles),
    'Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator': [
      'apiserver/aggregation.test.ts',
      'passes requests on with who asks, and never what callers claim to be',
    ],
  },
};
