/**
 * What each controller gets, bound to the service account of its name in kube-system.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles
 */
export const controllers = `
system:controller:attachdetach-controller
  list watch : persistentvolumeclaims persistentvolumes
  read : nodes
  patch update : nodes/status
  list watch : pods
  events
  read create delete : volumeattachments.storage.k8s.io
  read : csidrivers.storage.k8s.io
  read : csinodes.storage.k8s.io
system:controller:certificate-controller
  read delete : certificatesigningrequests.certificates.k8s.io
  update : certificatesigningrequests.certificates.k8s.io/approval certificatesigningrequests.certificates.k8s.io/status
  approve : signers.certificates.k8s.io @ kubernetes.io/kube-apiserver-client-kubelet
  sign : signers.certificates.k8s.io @ kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown
  create : subjectaccessreviews.authorization.k8s.io
  events
system:controller:clusterrole-aggregation-controller
  read escalate patch update : clusterroles.rbac.authorization.k8s.io
system:controller:cronjob-controller
  read update : cronjobs.batch
  read create delete patch update : jobs.batch
  update : cronjobs.batch/status
  update : cronjobs.batch/finalizers
  delete list : pods
  events
system:controller:daemon-set-controller
  read : daemonsets.apps
  update : daemonsets.apps/status
  update : daemonsets.apps/finalizers
  list watch : nodes
  create delete list patch watch : pods
  create : pods/binding
  read create delete patch update : controllerrevisions.apps
  events
system:controller:deployment-controller
  read update : deployments.apps
  update : deployments.apps/status
  update : deployments.apps/finalizers
  read create delete patch update : replicasets.apps
  read update : pods
  events
system:controller:disruption-controller
  read : deployments.apps
  read : replicasets.apps
  read : replicationcontrollers
  read : poddisruptionbudgets.policy
  read : statefulsets.apps
  update : poddisruptionbudgets.policy/status
  patch update : pods/status
  get : *.*/scale
  events
system:controller:endpoint-controller
  read : pods services
  create delete get list update : endpoints
  create : endpoints/restricted
  events
system:controller:endpointslice-controller
  read : nodes pods services
  update : services/finalizers
  create delete get list update : endpointslices.discovery.k8s.io
  events
system:controller:endpointslicemirroring-controller
  read : endpoints services
  update : services/finalizers
  update : endpoints/finalizers
  create delete get list update : endpointslices.discovery.k8s.io
  events
system:controller:ephemeral-volume-controller
  read : pods
  update : pods/finalizers
  read create : persistentvolumeclaims
  events
system:controller:expand-controller
  read patch update : persistentvolumes
  patch update : persistentvolumeclaims/status
  read : persistentvolumeclaims
  read : storageclasses.storage.k8s.io
  get : endpoints services
  get : secrets
  events
system:controller:generic-garbage-collector
  read delete patch update : *.*
  events
system:controller:horizontal-pod-autoscaler
  read : horizontalpodautoscalers.autoscaling
  update : horizontalpodautoscalers.autoscaling/status
  get update : *.*/scale
  list : pods
  get : services/proxy @ http:heapster: https:heapster:
  list : pods.metrics.k8s.io
  get list : *.custom.metrics.k8s.io
  events
system:controller:job-controller
  read patch update : jobs.batch
  update : jobs.batch/status
  update : jobs.batch/finalizers
  create delete list patch watch : pods
  events
system:controller:namespace-controller
  read delete : namespaces
  update : namespaces/finalize namespaces/status
  delete deletecollection get list : *.*
system:controller:node-controller
  delete get list patch update : nodes
  patch update : nodes/status
  update : pods/status
  delete list : pods
  events
system:controller:persistent-volume-binder
  read create delete update : persistentvolumes
  update : persistentvolumes/status
  read update : persistentvolumeclaims
  update : persistentvolumeclaims/status
  read create delete : pods
  read : storageclasses.storage.k8s.io
  create delete get update : endpoints
  create delete get : services
  get : secrets
  get list : nodes
  watch : events
  events
system:controller:pod-garbage-collector
  patch : pods/status
  delete list watch : pods
  get list : nodes
system:controller:pv-protection-controller
  read update : persistentvolumes
  events
system:controller:pvc-protection-controller
  read update : persistentvolumeclaims
  read : pods
  events
system:controller:replicaset-controller
  read update : replicasets.apps
  update : replicasets.apps/status
  update : replicasets.apps/finalizers
  create delete list patch watch : pods
  events
system:controller:replication-controller
  read update : replicationcontrollers
  update : replicationcontrollers/status
  update : replicationcontrollers/finalizers
  create delete list patch watch : pods
  events
system:controller:resourcequota-controller
  list watch : *.*
  update : resourcequotas/status
  events
system:controller:root-ca-cert-publisher
  create update : configmaps
  events
system:controller:route-controller
  list watch : nodes
  patch : nodes/status
  events
system:controller:service-account-controller
  create : serviceaccounts
  events
system:controller:service-controller
  read : services
  patch update : services/status
  list watch : nodes
  events
system:controller:statefulset-controller
  list watch : pods
  read : statefulsets.apps
  update : statefulsets.apps/status
  update : statefulsets.apps/finalizers
  create delete get patch update : pods
  read create delete patch update : controllerrevisions.apps
  create get : persistentvolumeclaims
  events
system:controller:storage-version-migrator-controller
  list patch : *.*
  read : storageversionmigrations.storagemigration.k8s.io
  patch update : storageversionmigrations.storagemigration.k8s.io/status
system:controller:ttl-after-finished-controller
  read delete : jobs.batch
  events
system:controller:ttl-controller
  list patch update watch : nodes
  events
system:controller:legacy-service-account-token-cleaner
  get : configmaps @ kube-apiserver-legacy-service-account-token-tracking
  patch delete : secrets
system:controller:resource-claim-controller
  read : pods
  update : pods/finalizers
  patch : pods/status
  read create delete : resourceclaims.resource.k8s.io
  patch update : resourceclaims.resource.k8s.io/status
  events
system:controller:service-cidrs-controller
  read patch update : servicecidrs.networking.k8s.io
  patch update : servicecidrs.networking.k8s.io/finalizers servicecidrs.networking.k8s.io/status
  read : ipaddresses.networking.k8s.io
  events
system:controller:validatingadmissionpolicy-status-controller
  read : validatingadmissionpolicies.admissionregistration.k8s.io
  get patch update : validatingadmissionpolicies.admissionregistration.k8s.io/status
  events
`;
