/**
 * What people get: cluster-admin, and the parts that admin, edit and view gather by their aggregation rules.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles
 */
export const userFacing = `
cluster-admin
  * : *.*
  * : /*
system:aggregate-to-admin
  create : localsubjectaccessreviews.authorization.k8s.io
  read write : rolebindings.rbac.authorization.k8s.io roles.rbac.authorization.k8s.io
system:aggregate-to-edit
  read : pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
  impersonate : serviceaccounts
  write : pods pods/attach pods/exec pods/portforward pods/proxy
  write : configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy
  write : daemonsets.apps deployments.apps deployments.apps/rollback deployments.apps/scale replicasets.apps replicasets.apps/scale statefulsets.apps statefulsets.apps/scale
  write : horizontalpodautoscalers.autoscaling
  write : cronjobs.batch jobs.batch
  write : poddisruptionbudgets.policy
  write : ingresses.networking.k8s.io networkpolicies.networking.k8s.io
  write : resourceclaims.resource.k8s.io resourceclaimtemplates.resource.k8s.io
  create : serviceaccounts/token
  write read : leases.coordination.k8s.io
system:aggregate-to-view
  read : configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status
  read : bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status
  read : namespaces
  read : endpointslices.discovery.k8s.io
  read : controllerrevisions.apps daemonsets.apps daemonsets.apps/status deployments.apps deployments.apps/scale deployments.apps/status replicasets.apps replicasets.apps/scale replicasets.apps/status statefulsets.apps statefulsets.apps/scale statefulsets.apps/status
  read : horizontalpodautoscalers.autoscaling horizontalpodautoscalers.autoscaling/status
  read : cronjobs.batch cronjobs.batch/status jobs.batch jobs.batch/status
  read : poddisruptionbudgets.policy poddisruptionbudgets.policy/status
  read : ingresses.networking.k8s.io ingresses.networking.k8s.io/status networkpolicies.networking.k8s.io
  read : resourceclaims.resource.k8s.io resourceclaims.resource.k8s.io/status resourceclaimtemplates.resource.k8s.io
`;

/** Role → the label of the roles whose rules it gathers, and the label by which others gather it. */
export const aggregated: Readonly<Record<string, { from: string; into?: string }>> = {
  admin: { from: 'admin' },
  edit: { from: 'edit', into: 'admin' },
  view: { from: 'view', into: 'edit' },
};
