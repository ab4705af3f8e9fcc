import type { Kind } from '../kind.ts';
import { CertificateSigningRequest } from './certificate-signing-request.ts';
import { ClusterRoleBinding } from './cluster-role-binding.ts';
import { ClusterRole } from './cluster-role.ts';
import { ConfigMap } from './config-map.ts';
import { Deployment } from './deployment.ts';
import { EndpointSlice } from './endpoint-slice.ts';
import { Endpoints } from './endpoints.ts';
import { Event } from './event.ts';
import { Lease } from './lease.ts';
import { LimitRange } from './limit-range.ts';
import { Namespace } from './namespace.ts';
import { Node } from './node.ts';
import { Pod } from './pod.ts';
import { PriorityClass } from './priority-class.ts';
import { questions } from './questions.ts';
import { ReplicaSet } from './replica-set.ts';
import { ResourceQuota } from './resource-quota.ts';
import { RoleBinding } from './role-binding.ts';
import { Role } from './role.ts';
import { Secret } from './secret.ts';
import { ServiceAccount } from './service-account.ts';
import { Service } from './service.ts';

/** Every built-in kind. Adding one is a file in this folder and a line here. */
export const builtinKinds: readonly Kind[] = [
  ConfigMap,
  Endpoints,
  Event,
  Namespace,
  Node,
  Pod,
  Secret,
  ServiceAccount,
  Service,
  Deployment,
  ReplicaSet,
  Lease,
  EndpointSlice,
  LimitRange,
  ResourceQuota,
  Role,
  RoleBinding,
  ClusterRole,
  ClusterRoleBinding,
  CertificateSigningRequest,
  PriorityClass,
].map((kind) => kind as Kind<never> as Kind);

/** Kinds that are asked and answered, and never kept. */
export const questionKinds: readonly Kind[] = questions;
