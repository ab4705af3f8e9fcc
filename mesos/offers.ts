/** Offers, what may be done with them, and what became of that; conventions as in types.ts. */
import type { ExecutorInfo, TaskGroupInfo, TaskInfo } from './tasks.ts';
import type {
  AgentID,
  AllocationInfo,
  Attribute,
  DomainInfo,
  ExecutorID,
  FrameworkID,
  OfferID,
  OperationID,
  Resource,
  ResourceProviderID,
  Scalar,
  URL,
  UUID,
  Unavailability,
} from './types.ts';

export interface OfferFilters {
  min_allocatable_resources?: OfferFiltersMinAllocatableResources;
}

export interface OfferFiltersResourceQuantities {
  quantities?: Record<string, Scalar>;
}

export interface OfferFiltersMinAllocatableResources {
  quantities?: OfferFiltersResourceQuantities[];
}

export interface Request {
  agent_id?: AgentID;
  resources?: Resource[];
}

export interface Offer {
  id: OfferID;
  framework_id: FrameworkID;
  agent_id: AgentID;
  hostname: string;
  resources?: Resource[];
  executor_ids?: ExecutorID[];
  attributes?: Attribute[];
  url?: URL;
  unavailability?: Unavailability;
  allocation_info?: AllocationInfo;
  domain?: DomainInfo;
}

export interface OfferOperation {
  type?:
    | 'UNKNOWN'
    | 'LAUNCH'
    | 'RESERVE'
    | 'UNRESERVE'
    | 'CREATE'
    | 'DESTROY'
    | 'LAUNCH_GROUP'
    | 'GROW_VOLUME'
    | 'SHRINK_VOLUME'
    | 'CREATE_DISK'
    | 'DESTROY_DISK';
  launch?: OfferOperationLaunch;
  reserve?: OfferOperationReserve;
  unreserve?: OfferOperationUnreserve;
  create?: OfferOperationCreate;
  destroy?: OfferOperationDestroy;
  launch_group?: OfferOperationLaunchGroup;
  id?: OperationID;
  grow_volume?: OfferOperationGrowVolume;
  shrink_volume?: OfferOperationShrinkVolume;
  create_disk?: OfferOperationCreateDisk;
  destroy_disk?: OfferOperationDestroyDisk;
}

export interface OfferOperationLaunch {
  task_infos?: TaskInfo[];
}

export interface OfferOperationLaunchGroup {
  executor: ExecutorInfo;
  task_group: TaskGroupInfo;
}

export interface OfferOperationReserve {
  resources?: Resource[];
  source?: Resource[];
}

export interface OfferOperationUnreserve {
  resources?: Resource[];
}

export interface OfferOperationCreate {
  volumes?: Resource[];
}

export interface OfferOperationDestroy {
  volumes?: Resource[];
}

export interface OfferOperationGrowVolume {
  volume: Resource;
  addition: Resource;
}

export interface OfferOperationShrinkVolume {
  volume: Resource;
  subtract: Scalar;
}

export interface OfferOperationCreateDisk {
  source: Resource;
  target_type: 'UNKNOWN' | 'PATH' | 'MOUNT' | 'BLOCK' | 'RAW';
  target_profile?: string;
}

export interface OfferOperationDestroyDisk {
  source: Resource;
}

export interface InverseOffer {
  id: OfferID;
  url?: URL;
  framework_id: FrameworkID;
  agent_id?: AgentID;
  unavailability: Unavailability;
  resources?: Resource[];
}

export interface Operation {
  framework_id?: FrameworkID;
  agent_id?: AgentID;
  info: OfferOperation;
  latest_status: OperationStatus;
  statuses?: OperationStatus[];
  uuid: UUID;
}

export interface OperationStatus {
  operation_id?: OperationID;
  state: OperationState;
  message?: string;
  converted_resources?: Resource[];
  uuid?: UUID;
  agent_id?: AgentID;
  resource_provider_id?: ResourceProviderID;
}

export interface Filters {
  refuse_seconds?: number;
}

export type OperationState =
  | 'OPERATION_UNSUPPORTED'
  | 'OPERATION_PENDING'
  | 'OPERATION_FINISHED'
  | 'OPERATION_FAILED'
  | 'OPERATION_ERROR'
  | 'OPERATION_DROPPED'
  | 'OPERATION_UNREACHABLE'
  | 'OPERATION_GONE_BY_OPERATOR'
  | 'OPERATION_RECOVERING'
  | 'OPERATION_UNKNOWN';
