import type { Kind } from '../kind.ts';
import { CustomResourceDefinition } from './custom-resource-definition.ts';
import { ConfigMap } from './config-map.ts';
import { Deployment } from './deployment.ts';
import { EndpointSlice } from './endpoint-slice.ts';
import { Endpoints } from './endpoints.ts';
import { Event } from './event.ts';
import { Lease } from './lease.ts';
import { Namespace } from './namespace.ts';
import { Node } from './node.ts';
import { Pod } from './pod.ts';
import { ReplicaSet } from './replica-set.ts';
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
  CustomResourceDefinition,
].map((kind) => kind as Kind<never> as Kind);
