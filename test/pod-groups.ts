/** What the CRD of the coscheduling plugin says, as far as it matters here. */
export const podGroups = {
  metadata: {
    name: 'podgroups.scheduling.x-k8s.io',
    annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' },
  },
  spec: {
    group: 'scheduling.x-k8s.io',
    names: { plural: 'podgroups', kind: 'PodGroup' },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { minMember: { type: 'integer' } } } },
          },
        },
      },
    ],
  },
};
