import type { Kind } from '../kind.ts';
import { CustomResourceDefinition } from './custom-resource-definition.ts';
import { APIService } from './api-service.ts';
import { Binding } from './binding.ts';
import { ComponentStatus } from './component-status.ts';
import { CertificateSigningRequest } from './certificate-signing-request.ts';
import { ClusterRoleBinding } from './cluster-role-binding.ts';
import { ClusterRole } from './cluster-role.ts';
import { ConfigMap } from './config-map.ts';
import { ControllerRevision } from './controller-revision.ts';
import { CronJob } from './cron-job.ts';
import { CSIDriver } from './csi-driver.ts';
import { CSINode } from './csi-node.ts';
import { DeviceClass } from './device-class.ts';
import { CSIStorageCapacity } from './csi-storage-capacity.ts';
import { DaemonSet } from './daemon-set.ts';
import { Deployment } from './deployment.ts';
import { EndpointSlice } from './endpoint-slice.ts';
import { Endpoints } from './endpoints.ts';
import { EventsEvent } from './events-event.ts';
import { Event } from './event.ts';
import { FlowSchema } from './flow-schema.ts';
import { HorizontalPodAutoscalerV1 } from './horizontal-pod-autoscaler-v1.ts';
import { HorizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';
import { IngressClass } from './ingress-class.ts';
import { Ingress } from './ingress.ts';
import { IPAddress } from './ip-address.ts';
import { Job } from './job.ts';
import { Lease } from './lease.ts';
import { MutatingAdmissionPolicyBinding } from './mutating-admission-policy-binding.ts';
import { MutatingAdmissionPolicy } from './mutating-admission-policy.ts';
import { MutatingWebhookConfiguration } from './mutating-webhook-configuration.ts';
import { LimitRange } from './limit-range.ts';
import { Namespace } from './namespace.ts';
import { NodeMetrics, PodMetrics } from './metrics.ts';
import { NetworkPolicy } from './network-policy.ts';
import { Node } from './node.ts';
import { PersistentVolumeClaim } from './persistent-volume-claim.ts';
import { PersistentVolume } from './persistent-volume.ts';
import { PodDisruptionBudget } from './pod-disruption-budget.ts';
import { PodTemplate } from './pod-template.ts';
import { Pod } from './pod.ts';
import { PriorityLevelConfiguration } from './priority-level-configuration.ts';
import { ResourceClaim } from './resource-claim.ts';
import { ResourceClaimTemplate } from './resource-claim-template.ts';
import { ResourceSlice } from './resource-slice.ts';
import { ReplicaSet } from './replica-set.ts';
import { ReplicationController } from './replication-controller.ts';
import { RuntimeClass } from './runtime-class.ts';
import { PriorityClass } from './priority-class.ts';
import { questions } from './questions.ts';
import { ResourceQuota } from './resource-quota.ts';
import { RoleBinding } from './role-binding.ts';
import { Role } from './role.ts';
import { Secret } from './secret.ts';
import { ServiceAccount } from './service-account.ts';
import { ServiceCIDR } from './service-cidr.ts';
import { Service } from './service.ts';
import { StatefulSet } from './stateful-set.ts';
import { StorageClass } from './storage-class.ts';
import { StorageVersionMigration } from './storage-version-migration.ts';
import { ValidatingAdmissionPolicyBinding } from './validating-admission-policy-binding.ts';
import { ValidatingAdmissionPolicy } from './validating-admission-policy.ts';
import { ValidatingWebhookConfiguration } from './validating-webhook-configuration.ts';
import { VolumeAttachment } from './volume-attachment.ts';
import { VolumeAttributesClass } from './volume-attributes-class.ts';

/** Every built-in kind, groups in the order that discovery lists them. Adding one is a file in this folder and a line here. */
export const builtinKinds: readonly Kind[] = [
  Binding,
  ComponentStatus,
  ConfigMap,
  Endpoints,
  Event,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodTemplate,
  ReplicationController,
  Secret,
  Service,
  ServiceAccount,
  ControllerRevision,
  DaemonSet,
  Deployment,
  ReplicaSet,
  StatefulSet,
  EventsEvent,
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerV1,
  CronJob,
  Job,
  IPAddress,
  Ingress,
  IngressClass,
  NetworkPolicy,
  ServiceCIDR,
  PodDisruptionBudget,
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
  Lease,
  RuntimeClass,
  EndpointSlice,
  CustomResourceDefinition,
  APIService,
  NodeMetrics,
  PodMetrics,
  FlowSchema,
  PriorityLevelConfiguration,
  LimitRange,
  ResourceQuota,
  Role,
  RoleBinding,
  ClusterRole,
  ClusterRoleBinding,
  CertificateSigningRequest,
  PriorityClass,
  DeviceClass,
  ResourceClaim,
  ResourceClaimTemplate,
  ResourceSlice,
].map((kind) => kind as Kind<never> as Kind);

/** Kinds whose objects are kept, each once: what controllers of everything go through. */
export const storedKinds = builtinKinds.filter(({ verbs, storage }) => !verbs && !storage);

/** Kinds in beta, served where they are asked for. */
export const betaKinds: readonly Kind[] = [StorageVersionMigration].map((kind) => kind as Kind<never> as Kind);

/** Kinds that are asked and answered, and never kept. */
export const questionKinds: readonly Kind[] = questions;
