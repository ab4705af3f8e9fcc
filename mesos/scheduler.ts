/** Calls and events of the v1 scheduler API: POST /api/v1/scheduler of the leading master. */
import type { Filters, InverseOffer, Offer, OfferOperation, OperationStatus, Request } from './offers.ts';
import type {
  AgentID,
  ExecutorID,
  FrameworkID,
  FrameworkInfo,
  MasterInfo,
  OfferID,
  OperationID,
  ResourceProviderID,
  TaskID,
} from './types.ts';
import type { KillPolicy, TaskStatus } from './tasks.ts';

export type Call =
  | { type: 'SUBSCRIBE'; framework_id?: FrameworkID; subscribe: CallSubscribe }
  | { type: 'TEARDOWN'; framework_id?: FrameworkID }
  | { type: 'ACCEPT'; framework_id?: FrameworkID; accept: CallAccept }
  | { type: 'DECLINE'; framework_id?: FrameworkID; decline: CallDecline }
  | { type: 'REVIVE'; framework_id?: FrameworkID; revive?: CallRevive }
  | { type: 'KILL'; framework_id?: FrameworkID; kill: CallKill }
  | { type: 'SHUTDOWN'; framework_id?: FrameworkID; shutdown: CallShutdown }
  | { type: 'ACKNOWLEDGE'; framework_id?: FrameworkID; acknowledge: CallAcknowledge }
  | { type: 'RECONCILE'; framework_id?: FrameworkID; reconcile: CallReconcile }
  | { type: 'MESSAGE'; framework_id?: FrameworkID; message: CallMessage }
  | { type: 'REQUEST'; framework_id?: FrameworkID; request: CallRequest }
  | { type: 'SUPPRESS'; framework_id?: FrameworkID; suppress?: CallSuppress }
  | { type: 'ACCEPT_INVERSE_OFFERS'; framework_id?: FrameworkID; accept_inverse_offers: CallAcceptInverseOffers }
  | { type: 'DECLINE_INVERSE_OFFERS'; framework_id?: FrameworkID; decline_inverse_offers: CallDeclineInverseOffers }
  | {
      type: 'ACKNOWLEDGE_OPERATION_STATUS';
      framework_id?: FrameworkID;
      acknowledge_operation_status: CallAcknowledgeOperationStatus;
    }
  | { type: 'RECONCILE_OPERATIONS'; framework_id?: FrameworkID; reconcile_operations: CallReconcileOperations }
  | { type: 'UPDATE_FRAMEWORK'; framework_id?: FrameworkID; update_framework: CallUpdateFramework };

export type Event =
  | { type: 'SUBSCRIBED'; subscribed: EventSubscribed }
  | { type: 'OFFERS'; offers: EventOffers }
  | { type: 'RESCIND'; rescind: EventRescind }
  | { type: 'UPDATE'; update: EventUpdate }
  | { type: 'MESSAGE'; message: EventMessage }
  | { type: 'FAILURE'; failure: EventFailure }
  | { type: 'ERROR'; error: EventError }
  | { type: 'HEARTBEAT' }
  | { type: 'INVERSE_OFFERS'; inverse_offers: EventInverseOffers }
  | { type: 'RESCIND_INVERSE_OFFER'; rescind_inverse_offer: EventRescindInverseOffer }
  | { type: 'UPDATE_OPERATION_STATUS'; update_operation_status: EventUpdateOperationStatus }
  | { type: 'UNKNOWN' };

export interface EventSubscribed {
  framework_id: FrameworkID;
  heartbeat_interval_seconds?: number;
  master_info?: MasterInfo;
}

export interface EventOffers {
  offers?: Offer[];
}

export interface EventInverseOffers {
  inverse_offers?: InverseOffer[];
}

export interface EventRescind {
  offer_id: OfferID;
}

export interface EventRescindInverseOffer {
  inverse_offer_id: OfferID;
}

export interface EventUpdate {
  status: TaskStatus;
}

export interface EventUpdateOperationStatus {
  status: OperationStatus;
}

export interface EventMessage {
  agent_id: AgentID;
  executor_id: ExecutorID;
  data: Uint8Array;
}

export interface EventFailure {
  agent_id?: AgentID;
  executor_id?: ExecutorID;
  status?: number;
}

export interface EventError {
  message: string;
}

export interface AttributeConstraint {
  selector: AttributeConstraintSelector;
  predicate: AttributeConstraintPredicate;
}

export interface AttributeConstraintSelector {
  pseudoattribute_type?: AttributeConstraintSelectorPseudoattributeType;
  attribute_name?: string;
}

export interface AttributeConstraintPredicate {
  exists?: AttributeConstraintPredicateExists;
  not_exists?: AttributeConstraintPredicateNotExists;
  text_equals?: AttributeConstraintPredicateTextEquals;
  text_not_equals?: AttributeConstraintPredicateTextNotEquals;
  text_matches?: AttributeConstraintPredicateTextMatches;
  text_not_matches?: AttributeConstraintPredicateTextNotMatches;
}

export interface AttributeConstraintPredicateTextEquals {
  value: string;
}

export interface AttributeConstraintPredicateTextNotEquals {
  value: string;
}

export interface AttributeConstraintPredicateTextMatches {
  regex: string;
}

export interface AttributeConstraintPredicateTextNotMatches {
  regex: string;
}

export interface OfferConstraints {
  role_constraints?: Record<string, OfferConstraintsRoleConstraints>;
}

export interface OfferConstraintsRoleConstraints {
  groups?: OfferConstraintsRoleConstraintsGroup[];
}

export interface OfferConstraintsRoleConstraintsGroup {
  attribute_constraints?: AttributeConstraint[];
}

export interface CallSubscribe {
  framework_info: FrameworkInfo;
  suppressed_roles?: string[];
  offer_constraints?: OfferConstraints;
}

export interface CallAccept {
  offer_ids?: OfferID[];
  operations?: OfferOperation[];
  filters?: Filters;
}

export interface CallDecline {
  offer_ids?: OfferID[];
  filters?: Filters;
}

export interface CallAcceptInverseOffers {
  inverse_offer_ids?: OfferID[];
  filters?: Filters;
}

export interface CallDeclineInverseOffers {
  inverse_offer_ids?: OfferID[];
  filters?: Filters;
}

export interface CallRevive {
  roles?: string[];
}

export interface CallKill {
  task_id: TaskID;
  agent_id?: AgentID;
  kill_policy?: KillPolicy;
}

export interface CallShutdown {
  executor_id: ExecutorID;
  agent_id: AgentID;
}

export interface CallAcknowledge {
  agent_id: AgentID;
  task_id: TaskID;
  uuid: Uint8Array;
}

export interface CallAcknowledgeOperationStatus {
  agent_id?: AgentID;
  resource_provider_id?: ResourceProviderID;
  uuid: Uint8Array;
  operation_id: OperationID;
}

export interface CallReconcile {
  tasks?: CallReconcileTask[];
}

export interface CallReconcileTask {
  task_id: TaskID;
  agent_id?: AgentID;
}

export interface CallReconcileOperations {
  operations?: CallReconcileOperationsOperation[];
}

export interface CallReconcileOperationsOperation {
  operation_id: OperationID;
  agent_id?: AgentID;
  resource_provider_id?: ResourceProviderID;
}

export interface CallMessage {
  agent_id: AgentID;
  executor_id: ExecutorID;
  data: Uint8Array;
}

export interface CallRequest {
  requests?: Request[];
}

export interface CallSuppress {
  roles?: string[];
}

export interface CallUpdateFramework {
  framework_info: FrameworkInfo;
  suppressed_roles?: string[];
  offer_constraints?: OfferConstraints;
}

export type AttributeConstraintPredicateExists = Record<string, never>;

export type AttributeConstraintPredicateNotExists = Record<string, never>;

export type AttributeConstraintSelectorPseudoattributeType = 'UNKNOWN' | 'HOSTNAME' | 'REGION' | 'ZONE';
