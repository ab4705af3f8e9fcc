import type { Section } from './section.ts';

const objects = 'controllers/conformance-machinery.test.ts';
const controllers = 'controllers/controllers.test.ts';
const quota = 'controllers/conformance-quota.test.ts';
const background: [string, string] = [
  controllers,
  'deleted in the background takes its sets and pods with it, orphaned it leaves them',
];

/** What controllers answer for. */
export const controllerMachinery: Section = {
  covers: /^\[sig-api-machinery\] (Garbage collector|Namespaces|ResourceQuota)/,
  specs: {
    'Garbage collector should delete RS created by deployment when not orphaning': background,
    'Garbage collector should delete pods created by rc when not orphaning': objects,
    'Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so': objects,
    'Garbage collector should not be blocked by dependency circle': [
      'controllers/custom-resources.test.ts',
      'objects that own each other in a circle all go, none waits for another for ever',
    ],
    "Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted":
      [
        controllers,
        'an object of two owners, one of them deleted in the foreground, stays with the other and holds nobody up',
      ],
    'Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan':
      background,
    'Garbage collector should orphan pods created by rc if delete options say so': objects,
    'Namespaces should ensure that all pods are removed when a namespace is deleted': objects,
    'Namespaces should ensure that all services are removed when a namespace is deleted': objects,
    'Namespaces should patch a Namespace': objects,
    'ResourceQuota should be able to update and delete ResourceQuota.': quota,
    'ResourceQuota should create a ResourceQuota and capture the life of a configMap.': quota,
    'ResourceQuota should create a ResourceQuota and capture the life of a pod.': quota,
    'ResourceQuota should create a ResourceQuota and capture the life of a replica set.': quota,
    'ResourceQuota should create a ResourceQuota and capture the life of a replication controller.': quota,
    'ResourceQuota should create a ResourceQuota and capture the life of a secret.': quota,
    'ResourceQuota should create a ResourceQuota and capture the life of a service.': quota,
    'ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.': quota,
    'ResourceQuota should verify ResourceQuota with best effort scope.': quota,
    'ResourceQuota should verify ResourceQuota with terminating scopes.': quota,
  },
};
