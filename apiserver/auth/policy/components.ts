/**
 * What the servers of a cluster and everybody who is known get.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles
 */
export const components = `
system:auth-delegator
  create : tokenreviews.authentication.k8s.io
  create : subjectaccessreviews.authorization.k8s.io
system:basic-user
  create : selfsubjectreviews.authentication.k8s.io selfsubjectaccessreviews.authorization.k8s.io selfsubjectrulesreviews.authorization.k8s.io
system:certificates.k8s.io:certificatesigningrequests:nodeclient
  create : certificatesigningrequests.certificates.k8s.io/nodeclient
system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
  create : certificatesigningrequests.certificates.k8s.io/selfnodeclient
system:certificates.k8s.io:kube-apiserver-client-approver
  approve : signers.certificates.k8s.io @ kubernetes.io/kube-apiserver-client
system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
  approve : signers.certificates.k8s.io @ kubernetes.io/kube-apiserver-client-kubelet
system:certificates.k8s.io:kubelet-serving-approver
  approve : signers.certificates.k8s.io @ kubernetes.io/kubelet-serving
system:certificates.k8s.io:legacy-unknown-approver
  approve : signers.certificates.k8s.io @ kubernetes.io/legacy-unknown
system:discovery
  get : /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/
system:heapster
  read : events namespaces nodes pods
system:kube-aggregator
  read : endpoints services
system:kube-controller-manager
  events
  create : leases.coordination.k8s.io
  get update : leases.coordination.k8s.io @ kube-controller-manager
  create : secrets serviceaccounts
  delete : secrets
  get : configmaps namespaces secrets serviceaccounts
  update : secrets serviceaccounts
  create : tokenreviews.authentication.k8s.io
  create : subjectaccessreviews.authorization.k8s.io
  list watch : *.*
  create : serviceaccounts/token
system:kube-dns
  list watch : endpoints services
system:kube-scheduler
  events
  create : leases.coordination.k8s.io
  get update : leases.coordination.k8s.io @ kube-scheduler
  read : nodes
  read delete : pods
  create : bindings pods/binding
  patch update : pods/status
  read : replicationcontrollers services
  read : replicasets.apps
  read : statefulsets.apps
  read : poddisruptionbudgets.policy
  read : persistentvolumeclaims persistentvolumes
  create : tokenreviews.authentication.k8s.io
  create : subjectaccessreviews.authorization.k8s.io
  read : csinodes.storage.k8s.io
  read : namespaces
  read : csidrivers.storage.k8s.io
  read : csistoragecapacities.storage.k8s.io
  read : volumeattachments.storage.k8s.io
  read : deviceclasses.resource.k8s.io resourceslices.resource.k8s.io
  read patch update : resourceclaims.resource.k8s.io
  patch update : resourceclaims.resource.k8s.io/status
system:kubelet-api-admin
  read proxy : nodes
  * : nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats
system:monitoring
  get : /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*
system:node
  create : tokenreviews.authentication.k8s.io
  create : localsubjectaccessreviews.authorization.k8s.io subjectaccessreviews.authorization.k8s.io
  read : services
  read create : nodes
  patch update : nodes/status
  patch update : nodes
  create patch update : events
  read : pods
  create delete : pods
  patch update : pods/status
  create : pods/eviction
  read : configmaps secrets
  get : persistentvolumeclaims persistentvolumes
  get : endpoints
  read create : certificatesigningrequests.certificates.k8s.io
  create delete get patch update : leases.coordination.k8s.io
  get : volumeattachments.storage.k8s.io
  create : serviceaccounts/token
  get patch update : persistentvolumeclaims/status
  read : csidrivers.storage.k8s.io
  create delete get patch update : csinodes.storage.k8s.io
  read : runtimeclasses.node.k8s.io
system:node-bootstrapper
  read create : certificatesigningrequests.certificates.k8s.io
system:node-problem-detector
  get : nodes
  patch : nodes/status
  events
system:node-proxier
  list watch : endpoints services
  read : nodes
  events
  list watch : endpointslices.discovery.k8s.io
system:persistent-volume-provisioner
  read create delete : persistentvolumes
  read update : persistentvolumeclaims
  read : storageclasses.storage.k8s.io
  watch : events
  events
system:public-info-viewer
  get : /healthz /livez /readyz /version /version/
system:service-account-issuer-discovery
  get : /.well-known/openid-configuration /openid/v1/jwks
system:volume-scheduler
  read patch update : persistentvolumes
  read : storageclasses.storage.k8s.io
  read patch update : persistentvolumeclaims
`;

/** km's own: what its scheduler does beside scheduling, as a Mesos framework, what `km dns` reads, and who approves what kubelets show. */
export const framework = `
km:framework
  create delete patch update : nodes
  patch update : nodes/status
  patch : pods
  create : pods/eviction
  read create patch delete : configmaps
  get : namespaces
  create delete : persistentvolumes
  create : storageclasses.storage.k8s.io
  get update : leases.coordination.k8s.io @ km-scheduler
  read : podgroups.scheduling.x-k8s.io
km:kubelet-serving-approver
  approve : signers.certificates.k8s.io @ kubernetes.io/kubelet-serving
km:page
  get : /ui/*
km:dns
  list watch : services
  list watch : endpointslices.discovery.k8s.io
`;

/** Whom a role is bound to in the whole cluster; every other role waits for somebody to bind it. */
export const boundTo: Readonly<Record<string, readonly string[]>> = {
  'cluster-admin': ['Group system:masters'],
  'km:controllers': ['User system:kube-controller-manager'],
  'km:dns': ['User system:kube-dns'],
  'km:framework': ['User system:kube-scheduler'],
  'km:kubelet-serving-approver': ['User system:kube-controller-manager'],
  'km:page': ['Group km:page'],
  'system:basic-user': ['Group system:authenticated'],
  // The token that executors share asks for whichever node it is given to, whatever group it is in.
  'system:certificates.k8s.io:certificatesigningrequests:nodeclient': [
    'Group system:bootstrappers',
    'User system:bootstrap:executor',
  ],
  'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient': ['Group system:nodes'],
  'system:discovery': ['Group system:authenticated'],
  'system:kube-controller-manager': ['User system:kube-controller-manager'],
  'system:kube-dns': ['ServiceAccount kube-system kube-dns'],
  'system:kube-scheduler': ['User system:kube-scheduler'],
  'system:monitoring': ['Group system:monitoring'],
  'system:node': [],
  'system:node-bootstrapper': ['Group system:bootstrappers'],
  'system:node-proxier': ['User system:kube-proxy'],
  'system:public-info-viewer': ['Group system:authenticated', 'Group system:unauthenticated'],
  'system:service-account-issuer-discovery': ['Group system:serviceaccounts'],
  'system:volume-scheduler': ['User system:kube-scheduler'],
};

/** Roles of one namespace, as `namespace/name`. */
export const namespaceRoles = `
kube-public/system:controller:bootstrap-signer
  read : configmaps
  update : configmaps @ cluster-info
  events
kube-system/extension-apiserver-authentication-reader
  read : configmaps @ extension-apiserver-authentication
kube-system/system::leader-locking-kube-controller-manager
  watch : configmaps
  get update : configmaps @ kube-controller-manager
kube-system/system::leader-locking-kube-scheduler
  watch : configmaps
  get update : configmaps @ kube-scheduler
kube-system/system:controller:bootstrap-signer
  read : secrets
kube-system/system:controller:cloud-provider
  read create : configmaps
kube-system/system:controller:token-cleaner
  read delete : secrets
  events
`;

/** Whom those are bound to, under the binding's own name where it differs. */
export const namespaceBindings: readonly { role: string; name?: string; to: readonly string[] }[] = [
  { role: 'kube-public/system:controller:bootstrap-signer', to: ['ServiceAccount kube-system bootstrap-signer'] },
  {
    role: 'kube-system/extension-apiserver-authentication-reader',
    name: 'system::extension-apiserver-authentication-reader',
    to: ['User system:kube-controller-manager', 'User system:kube-scheduler'],
  },
  {
    role: 'kube-system/system::leader-locking-kube-controller-manager',
    to: ['User system:kube-controller-manager', 'ServiceAccount kube-system kube-controller-manager'],
  },
  {
    role: 'kube-system/system::leader-locking-kube-scheduler',
    to: ['User system:kube-scheduler', 'ServiceAccount kube-system kube-scheduler'],
  },
  { role: 'kube-system/system:controller:bootstrap-signer', to: ['ServiceAccount kube-system bootstrap-signer'] },
  { role: 'kube-system/system:controller:cloud-provider', to: ['ServiceAccount kube-system cloud-provider'] },
  { role: 'kube-system/system:controller:token-cleaner', to: ['ServiceAccount kube-system token-cleaner'] },
];
