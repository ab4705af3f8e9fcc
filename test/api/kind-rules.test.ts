import { describe, expect, test } from '@jest/globals';
import { minimalObjects } from '../apiserver/minimal-objects.ts';
import { kindOf, lines, made } from './made.ts';

const spec = (members: object) => ({ spec: members });
const pod = (members: object) => spec({ template: spec(members) });
const one = (members: object) => spec({ containers: [{ name: 'c', image: 'i', ...members }] });
const cron = (members: object) => spec(members);
const mount = (members: object) => ({ name: 'v', mountPath: '/v', ...members });
/** Pods with a volume `v` and one container, by what it has. */
const podRows = (rows: [container: object, says: string][]) =>
  rows.map(([container, says]): [string, object, string] => [
    'v1/Pod',
    spec({ volumes: [{ name: 'v', emptyDir: {} }], containers: [{ name: 'c', image: 'i', ...container }] }),
    says,
  ]);

test.each(Object.keys(minimalObjects).filter((id) => kindOf(id)))(
  '%s: the least object is valid, and a copy may follow it',
  (id) => {
    const kind = kindOf(id);
    expect(lines(kind.validate?.(made(id)))).toEqual([]);
    expect(lines(kind.validateUpdate?.(made(id), made(id)))).toEqual([]);
  },
);

describe('a create is refused', () => {
  test.each<[id: string, patch: object, says: string]>([
    [
      'v1/Pod',
      one({ livenessProbe: { httpGet: { port: 0 } } }),
      'spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
    [
      'v1/Pod',
      one({ livenessProbe: {} }),
      'spec.containers[0].livenessProbe: Required value: must specify a handler type',
    ],
    [
      'v1/Pod',
      one({ readinessProbe: { exec: { command: ['x'] }, terminationGracePeriodSeconds: 5 } }),
      'readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes',
    ],
    [
      'v1/Pod',
      one({ lifecycle: { preStop: { exec: {} } } }),
      'spec.containers[0].lifecycle.preStop.exec.command: Required value',
    ],
    [
      'v1/Pod',
      one({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
      'cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
    ],
    [
      'v1/Pod',
      spec({ securityContext: { runAsUser: -1 } }),
      'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
    ],
    [
      'v1/Pod',
      spec({
        securityContext: {
          sysctls: [
            { name: 'kernel.shmmax', value: '1' },
            { name: 'bar..', value: '1' },
          ],
        },
      }),
      'spec.securityContext.sysctls[1].name: Invalid value: "bar..": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
    ],
    [
      'v1/Pod',
      spec({ dnsPolicy: 'None' }),
      'spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None',
    ],
    [
      'v1/Pod',
      spec({ hostAliases: [{ ip: 'x' }] }),
      'spec.hostAliases[0].ip: Invalid value: "x": must be valid IP address',
    ],
    [
      'v1/Pod',
      spec({ topologySpreadConstraints: [{ maxSkew: 0, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }] }),
      'spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
    ],
    [
      'v1/Pod',
      spec({ affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ labelSelector: {} }] } } }),
      'requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty',
    ],
    [
      'v1/Pod',
      spec({
        affinity: {
          nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 0, preference: {} }] },
        },
      }),
      'weight: Invalid value: 0: must be in the range 1-100',
    ],
    [
      'v1/Pod',
      spec({
        volumes: [
          { name: 'v', projected: { sources: [{ serviceAccountToken: { path: '../t', expirationSeconds: 5 } }] } },
        ],
      }),
      'may not specify a duration less than 10 minutes',
    ],
    [
      'v1/Pod',
      spec({ volumes: [{ name: 'v', persistentVolumeClaim: {} }] }),
      'spec.volumes[0].persistentVolumeClaim.claimName: Required value',
    ],
    [
      'v1/Pod',
      spec({
        volumes: [{ name: 'v', ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'] } } } }],
      }),
      'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value',
    ],
    [
      'v1/Pod',
      spec({ ephemeralContainers: [{ name: 'e', image: 'i', ports: [{ containerPort: 80 }] }] }),
      'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
    ],
    [
      'apps/v1/StatefulSet',
      spec({ replicas: -1 }),
      'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      'apps/v1/StatefulSet',
      spec({ podManagementPolicy: 'No' }),
      `spec.podManagementPolicy: Invalid value: "No": must be 'OrderedReady' or 'Parallel'`,
    ],
    [
      'apps/v1/StatefulSet',
      spec({ selector: { matchLabels: { app: 'y' } } }),
      'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`',
    ],
    [
      'apps/v1/DaemonSet',
      spec({ updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } }),
      'spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0',
    ],
    [
      'apps/v1/DaemonSet',
      spec({ updateStrategy: { rollingUpdate: { maxUnavailable: '150%' } } }),
      'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "150%": must not be greater than 100%',
    ],
    [
      'apps/v1/DaemonSet',
      pod({ restartPolicy: 'Never' }),
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    ...podRows([
      [
        { volumeMounts: [mount({ subPath: '../../etc' })] },
        'volumeMounts[0].subPath: Invalid value: "../../etc": must not contain \'..\'',
      ],
      [{ volumeMounts: [mount({ subPath: '/etc' })] }, 'subPath: Invalid value: "/etc": must be a relative path'],
      [{ volumeMounts: [mount({ subPath: 'a', subPathExpr: 'b' })] }, 'subPathExpr and subPath are mutually exclusive'],
      [
        { volumeMounts: [mount({ mountPropagation: 'Bogus' })] },
        'mountPropagation: Unsupported value: "Bogus": supported values: "Bidirectional", "HostToContainer", "None"',
      ],
      [
        { volumeMounts: [mount({ mountPropagation: 'Bidirectional' })] },
        'mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers',
      ],
      [{ volumeDevices: [{ name: 'x', devicePath: '/dev/x' }] }, 'volumeDevices[0].name: Not found: "x"'],
      [
        { volumeDevices: [{ name: 'v', devicePath: '/dev/../x' }] },
        'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
      ],
      [{ volumeDevices: [{ name: 'v', devicePath: '/dev/../x' }] }, "can not contain backsteps ('..')"],
      [
        { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.PodIP' } } }] },
        'env[0].valueFrom.fieldRef.fieldPath: Invalid value: "status.PodIP": error converting fieldPath: field label not supported: status.PodIP',
      ],
      [
        { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.labels' } } }] },
        'fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name"',
      ],
      [
        { env: [{ name: 'A', valueFrom: { resourceFieldRef: { resource: 'limits.gpu' } } }] },
        'resourceFieldRef.resource: Unsupported value: "limits.gpu": supported values: "limits.cpu"',
      ],
      [{ envFrom: [{}] }, 'envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'],
      [
        { resources: { limits: { 'nvidia.com/gpu': '500m' } } },
        'resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer',
      ],
      [
        { resources: { requests: { 'nvidia.com/gpu': '1' } } },
        'resources.limits: Required value: Limit must be set for non overcommitable resources',
      ],
      [
        { resources: { requests: { 'nvidia.com/gpu': '1' }, limits: { 'nvidia.com/gpu': '2' } } },
        'resources.requests: Invalid value: "1": must be equal to nvidia.com/gpu limit of 2',
      ],
      [
        { resizePolicy: [{ resourceName: 'disk', restartPolicy: 'NotRequired' }] },
        'resizePolicy: Unsupported value: "disk": supported values: "cpu", "memory"',
      ],
      [
        { securityContext: { seccompProfile: { type: 'Odd' } } },
        'securityContext.seccompProfile.type: Unsupported value: "Odd": supported values: "Localhost", "RuntimeDefault", "Unconfined"',
      ],
      [
        { securityContext: { seccompProfile: { type: 'Localhost' } } },
        'seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost',
      ],
      [
        { securityContext: { appArmorProfile: { type: 'Unconfined', localhostProfile: 'x' } } },
        'appArmorProfile.localhostProfile: Invalid value: "x": can only be set when AppArmor type is Localhost',
      ],
      [
        { securityContext: { procMount: 'All' } },
        'procMount: Unsupported value: "All": supported values: "Default", "Unmasked"',
      ],
      [
        { restartPolicy: 'Odd' },
        'restartPolicy: Unsupported value: "Odd": supported values: "Always", "Never", "OnFailure"',
      ],
    ]),
    [
      'v1/Pod',
      spec({ securityContext: { fsGroupChangePolicy: 'Odd' } }),
      'fsGroupChangePolicy: Unsupported value: "Odd"',
    ],
    [
      'v1/Pod',
      spec({ initContainers: [{ name: 'i', image: 'i', readinessProbe: { exec: { command: ['x'] } } }] }),
      'initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
    ],
    [
      'v1/Pod',
      spec({ schedulingGates: [{ name: 'a b' }] }),
      'spec.schedulingGates[0]: Invalid value: "a b": name part must',
    ],
    [
      'v1/Pod',
      spec({ nodeName: 'n', schedulingGates: [{ name: 'a.b/c' }] }),
      'spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared',
    ],
    [
      'v1/Pod',
      spec({ readinessGates: [{ conditionType: 'a b' }] }),
      'spec.readinessGates[0].conditionType: Invalid value',
    ],
    ['v1/Pod', spec({ runtimeClassName: 'A_' }), 'spec.runtimeClassName: Invalid value: "A_"'],
    ['v1/Pod', spec({ priorityClassName: 'A_' }), 'spec.priorityClassName: Invalid value: "A_"'],
    [
      'v1/Pod',
      spec({ preemptionPolicy: 'Some' }),
      'spec.preemptionPolicy: Unsupported value: "Some": supported values: "Never", "PreemptLowerPriority"',
    ],
    [
      'v1/Pod',
      spec({ os: { name: 'plan9' } }),
      'spec.os: Unsupported value: "plan9": supported values: "linux", "windows"',
    ],
    [
      'v1/Pod',
      spec({ hostAliases: [{ ip: '10.0.0.1', hostnames: ['a_b'] }] }),
      'spec.hostAliases[0].hostnames: Invalid value: "a_b"',
    ],
    ...['apps/v1/Deployment', 'batch/v1/Job', 'v1/ReplicationController'].map((id): [string, object, string] => [
      id,
      spec({ template: { metadata: { annotations: { 'bad key!': 'x' } } } }),
      'spec.template.annotations: Invalid value: "bad key!": name part must consist of',
    ]),
    [
      'apps/v1/Deployment',
      spec({ strategy: { rollingUpdate: { maxUnavailable: '200%' } } }),
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
    ],
    [
      'batch/v1/Job',
      spec({ selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } } } }),
      '`selector` not auto-generated',
    ],
    [
      'batch/v1/Job',
      spec({
        podFailurePolicy: {
          rules: [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [1], containerName: 'x' } }],
        },
        podReplacementPolicy: 'TerminatingOrFailed',
      }),
      'rules[0].onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template',
    ],
    [
      'batch/v1/Job',
      spec({ podFailurePolicy: { rules: [] }, podReplacementPolicy: 'TerminatingOrFailed' }),
      'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
    ],
    [
      'v1/Secret',
      { type: 'kubernetes.io/basic-auth', data: { other: '' } },
      'data[username]: Required value\ndata[password]: Required value',
    ],
    ...['eA==', 'W10='].map((text): [string, object, string] => [
      'v1/Secret',
      { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': text } },
      'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be a JSON object',
    ]),
    [
      'v1/Event',
      { eventTime: '2026-01-02T03:04:05.000006Z', reason: null, involvedObject: { namespace: 'default' } },
      'reportingController: Required value\nreportingInstance: Required value\naction: Required value\nreason: Required value',
    ],
    ['apps/v1/ControllerRevision', { data: null }, 'data: Required value: data is mandatory'],
    [
      'v1/ReplicationController',
      spec({ replicas: -2 }),
      'spec.replicas: Invalid value: -2: must be greater than or equal to 0',
    ],
    [
      'batch/v1/Job',
      pod({ restartPolicy: null }),
      'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    ],
    [
      'batch/v1/Job',
      spec({ completionMode: 'Indexed', parallelism: 2 }),
      'spec.completions: Required value: when completion mode is Indexed',
    ],
    [
      'batch/v1/Job',
      spec({ backoffLimit: -1 }),
      'spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0',
    ],
    ['batch/v1/CronJob', cron({ schedule: '' }), 'spec.schedule: Required value'],
    [
      'batch/v1/CronJob',
      cron({ schedule: '* * *' }),
      'spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]',
    ],
    [
      'batch/v1/CronJob',
      cron({ schedule: '61 * * * *' }),
      'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61',
    ],
    [
      'batch/v1/CronJob',
      cron({ timeZone: 'Mars/Base' }),
      'spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base',
    ],
    [
      'batch/v1/CronJob',
      { metadata: { name: 'a'.repeat(53) } },
      `metadata.name: Invalid value: "${'a'.repeat(53)}": must be no more than 52 characters`,
    ],
    [
      'autoscaling/v2/HorizontalPodAutoscaler',
      spec({ maxReplicas: 0 }),
      'spec.maxReplicas: Invalid value: 0: must be greater than 0',
    ],
    [
      'autoscaling/v2/HorizontalPodAutoscaler',
      spec({ minReplicas: 5 }),
      'spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`',
    ],
    [
      'autoscaling/v2/HorizontalPodAutoscaler',
      spec({ metrics: [{ type: 'Pods' }] }),
      'spec.metrics[0].pods: Required value: must populate information for the given metric source',
    ],
    [
      'networking.k8s.io/v1/Ingress',
      spec({ defaultBackend: null }),
      'spec: Invalid value: null: either `defaultBackend` or `rules` must be specified',
    ],
    [
      'networking.k8s.io/v1/Ingress',
      spec({
        rules: [
          {
            http: {
              paths: [{ path: 'x', pathType: 'Exact', backend: { service: { name: 's', port: { number: 1 } } } }],
            },
          },
        ],
      }),
      'spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path',
    ],
    [
      'networking.k8s.io/v1/Ingress',
      spec({ defaultBackend: { service: { port: null } } }),
      'spec.defaultBackend: Required value: port name or number is required',
    ],
    [
      'networking.k8s.io/v1/IngressClass',
      spec({ parameters: { kind: 'K', name: 'n', scope: 'Namespace' } }),
      "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
    ],
    [
      'networking.k8s.io/v1/NetworkPolicy',
      spec({ ingress: [{ from: [{}] }] }),
      'spec.ingress[0].from[0]: Required value: must specify a peer',
    ],
    [
      'networking.k8s.io/v1/NetworkPolicy',
      spec({ egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/9'] } }] }] }),
      'spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "11.0.0.0/9": must be a strict subset of `cidr`',
    ],
    [
      'networking.k8s.io/v1/NetworkPolicy',
      spec({ ingress: [{ ports: [{ port: 90, endPort: 80 }] }] }),
      'spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`',
    ],
    [
      'policy/v1/PodDisruptionBudget',
      spec({ maxUnavailable: 1 }),
      'spec: Invalid value: {"minAvailable":1,"selector":{"matchLabels":{"app":"x"}},"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set',
    ],
    [
      'policy/v1/PodDisruptionBudget',
      spec({ minAvailable: '101%' }),
      'spec.minAvailable: Invalid value: "101%": must not be greater than 100%',
    ],
    [
      'v1/Endpoints',
      { subsets: [{ addresses: [{ ip: 'db.example.com' }], ports: [{ port: 0 }] }] },
      'subsets[0].addresses[0].ip: Invalid value: "db.example.com": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)\nsubsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
    [
      'v1/Endpoints',
      { subsets: [{ addresses: [{ ip: '169.254.1.1' }], ports: [{ port: 1 }, { port: 2, protocol: 'X' }] }] },
      'subsets[0].addresses[0].ip: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)\nsubsets[0].ports[0].name: Required value',
    ],
    ['v1/Endpoints', { subsets: [{}] }, 'subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
    [
      'discovery.k8s.io/v1/EndpointSlice',
      { endpoints: [{ addresses: ['nope'] }] },
      'endpoints[0].addresses[0]: Invalid value: "nope": must be a valid IPv4 address',
    ],
    [
      'discovery.k8s.io/v1/EndpointSlice',
      { endpoints: [{ addresses: Array.from({ length: 101 }, () => '10.0.0.1') }] },
      'endpoints[0].addresses: Too many: 101: must have at most 100 items',
    ],
    [
      'discovery.k8s.io/v1/EndpointSlice',
      { addressType: 'FQDN', endpoints: [{ addresses: ['db'] }] },
      'endpoints[0].addresses[0]: Invalid value: "db": should be a domain with at least two segments separated by dots',
    ],
    [
      'discovery.k8s.io/v1/EndpointSlice',
      { ports: [{ protocol: 'X' }, {}] },
      'ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"\nports[1].name: Duplicate value: ""',
    ],
    ['storage.k8s.io/v1/StorageClass', { provisioner: '' }, 'provisioner: Required value'],
    [
      'storage.k8s.io/v1/StorageClass',
      { volumeBindingMode: 'Now' },
      'volumeBindingMode: Unsupported value: "Now": supported values: "Immediate", "WaitForFirstConsumer"',
    ],
    [
      'storage.k8s.io/v1/VolumeAttachment',
      spec({ source: { persistentVolumeName: null } }),
      'spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName',
    ],
    [
      'storage.k8s.io/v1/CSINode',
      spec({ drivers: [{ name: 'a', nodeID: '' }] }),
      'spec.drivers[0].nodeID: Required value',
    ],
    ['v1/PersistentVolume', spec({ accessModes: [] }), 'spec.accessModes: Required value'],
    ['v1/PersistentVolume', spec({ hostPath: null }), 'spec: Required value: must specify a volume type'],
    [
      'v1/PersistentVolume',
      spec({ nfs: { server: 's', path: '/' } }),
      'spec.nfs: Forbidden: may not specify more than 1 volume type',
    ],
    ['v1/PersistentVolumeClaim', spec({ resources: { requests: null } }), 'spec.resources[storage]: Required value'],
    [
      'v1/PersistentVolumeClaim',
      spec({ accessModes: ['Some'] }),
      'spec.accessModes: Unsupported value: "Some": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
    ],
    [
      'node.k8s.io/v1/RuntimeClass',
      { handler: 'No_' },
      'handler: Invalid value: "No_": a lowercase RFC 1123 label must consist',
    ],
    [
      'admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration',
      {
        webhooks: [
          { name: 'a.b.c', clientConfig: { url: 'http://x' }, sideEffects: 'None', admissionReviewVersions: ['v1'] },
        ],
      },
      `webhooks[0].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
    ],
    [
      'admissionregistration.k8s.io/v1/MutatingWebhookConfiguration',
      { webhooks: [{ name: 'a.b.c', clientConfig: {}, sideEffects: 'Some', admissionReviewVersions: [] }] },
      'webhooks[0].clientConfig: Required value: exactly one of url or service is required',
    ],
    [
      'flowcontrol.apiserver.k8s.io/v1/FlowSchema',
      spec({ matchingPrecedence: 20000 }),
      'spec.matchingPrecedence: Invalid value: 20000: must not be greater than 10000',
    ],
    [
      'flowcontrol.apiserver.k8s.io/v1/PriorityLevelConfiguration',
      spec({ type: 'Odd' }),
      'spec.type: Unsupported value: "Odd": supported values: "Exempt", "Limited"',
    ],
  ])('%s with %j', (id, patch, says) => {
    expect(lines(kindOf(id).validate?.(made(id, patch))).join('\n')).toContain(says);
  });
});

test('a pod may say all that it can', () => {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const full = spec({
    volumes: [
      { name: 'v', emptyDir: {} },
      { name: 'block', persistentVolumeClaim: { claimName: 'c' } },
      {
        name: 'self',
        downwardAPI: {
          items: [
            { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
            { path: 'cpu', resourceFieldRef: { resource: 'limits.cpu', containerName: 'c' } },
          ],
        },
      },
    ],
    os: { name: 'linux' },
    runtimeClassName: 'kata',
    priorityClassName: 'high',
    preemptionPolicy: 'Never',
    schedulingGates: [{ name: 'example.com/gate' }],
    readinessGates: [{ conditionType: 'example.com/ready' }],
    hostAliases: [{ ip: '10.0.0.1', hostnames: ['a.b'] }],
    securityContext: {
      fsGroupChangePolicy: 'Always',
      seccompProfile: { type: 'Localhost', localhostProfile: 'a/b.json' },
    },
    initContainers: [
      { name: 'once', image: 'i', restartPolicy: 'OnFailure' },
      { name: 'side', image: 'i', restartPolicy: 'Always', startupProbe: { exec: { command: ['x'] } } },
    ],
    containers: [
      {
        ...{ name: 'c', image: 'i' },
        volumeMounts: [mount({ subPathExpr: '$(NAME)/x', mountPropagation: 'Bidirectional' })],
        volumeDevices: [{ name: 'block', devicePath: '/dev/x' }],
        env: [
          ...[field('IP', 'status.podIPs'), field('NODE', 'spec.nodeName')],
          ...[field('LABEL', "metadata.labels['a.b/c']"), field('NOTE', "metadata.annotations['A.b/C']")],
          { name: 'PAGES', valueFrom: { resourceFieldRef: { resource: 'limits.hugepages-2Mi' } } },
        ],
        envFrom: [{ prefix: 'a.b-', configMapRef: { name: 'c' } }],
        resources: { limits: { cpu: '0.5', 'nvidia.com/gpu': '1', 'hugepages-2Mi': '4Mi' } },
        resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }],
        securityContext: {
          ...{ privileged: true, procMount: 'Unmasked' },
          appArmorProfile: { type: 'Localhost', localhostProfile: 'mine' },
        },
      },
    ],
  });
  expect(lines(kindOf('v1/Pod').validate?.(made('v1/Pod', full)))).toEqual([]);
});

test('a new Ingress names its class in one way', () => {
  const both = made('networking.k8s.io/v1/Ingress', {
    metadata: { annotations: { 'kubernetes.io/ingress.class': 'a' } },
    ...spec({ ingressClassName: 'a' }),
  });
  const rules = kindOf('networking.k8s.io/v1/Ingress').validateRules!;
  expect(lines(rules(both, undefined))).toEqual([
    'annotations.kubernetes.io/ingress.class: Invalid value: "a": can not be set when the class field is also set',
  ]);
  expect(lines(rules(both, both))).toEqual([]);
});

describe('a change is refused', () => {
  test.each<[id: string, patch: object, says: string]>([
    [
      'apps/v1/StatefulSet',
      spec({ serviceName: 'other' }),
      "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template'",
    ],
    [
      'apps/v1/DaemonSet',
      spec({ selector: { matchLabels: { app: 'y' } } }),
      'spec.selector: Invalid value: {"matchLabels":{"app":"y"}}: field is immutable',
    ],
    ['batch/v1/Job', pod({ containers: [{ name: 'c', image: 'other' }] }), 'spec.template: Invalid value'],
    ['batch/v1/Job', spec({ completions: 5 }), 'spec.completions: Invalid value: 5: field is immutable'],
    [
      'storage.k8s.io/v1/StorageClass',
      { parameters: { a: 'b' } },
      'parameters: Forbidden: updates to parameters are forbidden.',
    ],
    ['storage.k8s.io/v1/VolumeAttachment', spec({ nodeName: 'm' }), 'spec: Invalid value'],
    [
      'v1/PersistentVolume',
      spec({ hostPath: { path: '/other' } }),
      'spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation',
    ],
    [
      'v1/PersistentVolumeClaim',
      spec({ volumeMode: 'Block' }),
      'spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
    ],
    [
      'networking.k8s.io/v1/IngressClass',
      spec({ controller: 'example.com/other' }),
      'spec.controller: Invalid value: "example.com/other": field is immutable',
    ],
    ['node.k8s.io/v1/RuntimeClass', { handler: 'kata' }, 'handler: Invalid value: "kata": field is immutable'],
  ])('%s to %j', (id, patch, says) => {
    expect(lines(kindOf(id).validateUpdate?.(made(id, patch), made(id))).join('\n')).toContain(says);
  });
});
