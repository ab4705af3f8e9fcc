/** The least that makes a valid object of each kind, by `group/version/kind`. */
const container = { name: 'c', image: 'i:1' };
const podSpec = { containers: [container] };
const labels = { app: 'x' };
const template = { metadata: { labels }, spec: podSpec };
const selector = { matchLabels: labels };
const onFailure = { spec: { ...podSpec, restartPolicy: 'Never' } };
const webhook = {
  name: 'a.example.com',
  clientConfig: { url: 'https://example.com/hook' },
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
};
const deviceClaim = { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } }] } };
const storageGi = { storage: '1Gi' };

export const minimalObjects: Readonly<Record<string, object>> = {
  'v1/Namespace': {},
  'v1/Node': {},
  'v1/Pod': { spec: podSpec },
  'v1/ConfigMap': { data: { a: 'b' } },
  'v1/Secret': { data: { a: 'Yg==' } },
  'v1/ServiceAccount': {},
  'v1/Service': { spec: { ports: [{ port: 80 }] } },
  'v1/Endpoints': { subsets: [{ addresses: [{ ip: '10.1.1.1' }], ports: [{ port: 80 }] }] },
  'v1/Event': { involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' }, reason: 'Tried', type: 'Normal' },
  'v1/PersistentVolume': {
    spec: { capacity: storageGi, accessModes: ['ReadWriteOnce'], hostPath: { path: '/tmp/x' } },
  },
  'v1/PersistentVolumeClaim': { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: storageGi } } },
  'v1/PodTemplate': { template },
  'v1/ReplicationController': { spec: { selector: labels, template } },
  'apps/v1/Deployment': { spec: { selector, template } },
  'apps/v1/ReplicaSet': { spec: { selector, template } },
  'apps/v1/StatefulSet': { spec: { selector, template, serviceName: 's' } },
  'apps/v1/DaemonSet': { spec: { selector, template } },
  'apps/v1/ControllerRevision': { revision: 1, data: { spec: { a: 'b' } } },
  'batch/v1/Job': { spec: { template: onFailure } },
  'batch/v1/CronJob': { spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template: onFailure } } } },
  'autoscaling/v2/HorizontalPodAutoscaler': {
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' }, maxReplicas: 3 },
  },
  'autoscaling/v1/HorizontalPodAutoscaler': {
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' }, maxReplicas: 3 },
  },
  'events.k8s.io/v1/Event': {
    regarding: { kind: 'Pod', namespace: 'default', name: 'p' },
    reason: 'Tried',
    type: 'Normal',
    action: 'Try',
    reportingController: 'example.com/c',
    reportingInstance: 'c-1',
    eventTime: '2026-01-02T03:04:05.000006Z',
  },
  'networking.k8s.io/v1/Ingress': {
    spec: { defaultBackend: { service: { name: 's', port: { number: 80 } } } },
  },
  'networking.k8s.io/v1/IngressClass': { spec: { controller: 'example.com/c' } },
  'networking.k8s.io/v1/NetworkPolicy': { spec: { podSelector: {} } },
  'networking.k8s.io/v1/ServiceCIDR': { spec: { cidrs: ['10.200.0.0/24'] } },
  'networking.k8s.io/v1/IPAddress': { spec: { parentRef: { resource: 'services', namespace: 'default', name: 's' } } },
  'policy/v1/PodDisruptionBudget': { spec: { minAvailable: 1, selector } },
  'storage.k8s.io/v1/StorageClass': { provisioner: 'example.com/p' },
  'storage.k8s.io/v1/VolumeAttributesClass': { driverName: 'example.com', parameters: { a: 'b' } },
  'storage.k8s.io/v1/VolumeAttachment': {
    spec: { attacher: 'example.com', nodeName: 'n', source: { persistentVolumeName: 'pv' } },
  },
  'storage.k8s.io/v1/CSIDriver': { spec: {} },
  'storage.k8s.io/v1/CSINode': { spec: { drivers: [{ name: 'example.com', nodeID: 'n' }] } },
  'storage.k8s.io/v1/CSIStorageCapacity': { storageClassName: 'c', capacity: '1Gi' },
  'node.k8s.io/v1/RuntimeClass': { handler: 'runc' },
  'coordination.k8s.io/v1/Lease': { spec: { holderIdentity: 'me' } },
  'discovery.k8s.io/v1/EndpointSlice': { addressType: 'IPv4', endpoints: [{ addresses: ['10.1.1.1'] }], ports: [] },
  'admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration': { webhooks: [webhook] },
  'admissionregistration.k8s.io/v1/MutatingWebhookConfiguration': { webhooks: [webhook] },
  'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy': {
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
      validations: [{ expression: 'true' }],
    },
  },
  'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding': {
    spec: { policyName: 'p', validationActions: ['Deny'] },
  },
  'admissionregistration.k8s.io/v1/MutatingAdmissionPolicy': {
    spec: {
      matchConstraints: {
        resourceRules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
      },
      mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{}' } }],
      reinvocationPolicy: 'Never',
    },
  },
  'admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding': { spec: { policyName: 'p' } },
  'apiregistration.k8s.io/v1/APIService': {
    spec: { group: 'example.org', version: 'v1', groupPriorityMinimum: 100, versionPriority: 10 },
  },
  'apiextensions.k8s.io/v1/CustomResourceDefinition': {
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'xs', kind: 'X' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                size: { type: 'integer', default: 1, enum: [1, 2] },
                tags: { type: 'object', additionalProperties: { type: 'string' } },
                list: { type: 'array', items: { type: 'string' } },
              },
            },
          },
        },
      ],
    },
  },
  'rbac.authorization.k8s.io/v1/Role': { rules: [] },
  'rbac.authorization.k8s.io/v1/ClusterRole': { rules: [] },
  'rbac.authorization.k8s.io/v1/RoleBinding': {
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
  },
  'rbac.authorization.k8s.io/v1/ClusterRoleBinding': {
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'r' },
  },
  'scheduling.k8s.io/v1/PriorityClass': { value: 7 },
  'resource.k8s.io/v1/DeviceClass': { spec: {} },
  'resource.k8s.io/v1/ResourceClaim': { spec: deviceClaim },
  'resource.k8s.io/v1/ResourceClaimTemplate': { spec: { spec: deviceClaim } },
  'resource.k8s.io/v1/ResourceSlice': {
    spec: { driver: 'gpu.example.com', nodeName: 'n', pool: { name: 'n', generation: 1, resourceSliceCount: 1 } },
  },
  'v1/LimitRange': { spec: { limits: [{ type: 'Container', max: { cpu: '1' } }] } },
  'v1/ResourceQuota': { spec: { hard: { pods: '5' } } },
  'flowcontrol.apiserver.k8s.io/v1/FlowSchema': { spec: { priorityLevelConfiguration: { name: 'global-default' } } },
  'flowcontrol.apiserver.k8s.io/v1/PriorityLevelConfiguration': {
    spec: { type: 'Limited', limited: { limitResponse: { type: 'Reject' } } },
  },
};

/** Names that a kind's own rule allows; `x` for the others. */
export const objectNames: Readonly<Record<string, string>> = {
  'apiregistration.k8s.io/v1/APIService': 'v1.example.org',
  'apiextensions.k8s.io/v1/CustomResourceDefinition': 'xs.example.com',
  'networking.k8s.io/v1/IPAddress': '10.200.0.7',
  'storage.k8s.io/v1/CSIDriver': 'csi.example.com',
};
