import type { Call, OfferConstraints } from '../mesos/scheduler.ts';
import type { FrameworkInfo } from '../mesos/types.ts';
import type { TaskStatus } from '../mesos/tasks.ts';
import type { OfferOperation } from '../mesos/offers.ts';
import type { Named } from './reconciliation.ts';

/** Scheduler calls of one framework. Making one has no effect; the session sends it. */
export class Calls {
  readonly #framework: { framework_id: { value: string } };
  constructor(frameworkId: string) {
    this.#framework = { framework_id: { value: frameworkId } };
  }

  revive(role: string): Call {
    return { type: 'REVIVE', ...this.#framework, revive: { roles: [role] } };
  }

  suppress(role: string): Call {
    return { type: 'SUPPRESS', ...this.#framework, suppress: { roles: [role] } };
  }

  /** All three replace what the master knows. */
  updateFramework(info: FrameworkInfo, suppressedRoles: readonly string[], constraints: OfferConstraints): Call {
    return {
      type: 'UPDATE_FRAMEWORK',
      ...this.#framework,
      update_framework: {
        framework_info: { ...info, id: this.#framework.framework_id },
        suppressed_roles: [...suppressedRoles],
        offer_constraints: constraints,
      },
    };
  }

  /** What the operations leave of the offers is hidden from us for `refuseSeconds`. */
  accept(offerIds: readonly string[], operations: OfferOperation[], refuseSeconds: number): Call {
    return {
      type: 'ACCEPT',
      ...this.#framework,
      accept: { offer_ids: idsOf(offerIds), operations, filters: { refuse_seconds: refuseSeconds } },
    };
  }

  decline(offerIds: readonly string[], refuseSeconds: number): Call {
    return {
      type: 'DECLINE',
      ...this.#framework,
      decline: { offer_ids: idsOf(offerIds), filters: { refuse_seconds: refuseSeconds } },
    };
  }

  acceptInverse(offerIds: readonly string[], refuseSeconds: number): Call {
    return {
      type: 'ACCEPT_INVERSE_OFFERS',
      ...this.#framework,
      accept_inverse_offers: { inverse_offer_ids: idsOf(offerIds), filters: { refuse_seconds: refuseSeconds } },
    };
  }

  shutdown(agentId: string, executorId: string): Call {
    return {
      type: 'SHUTDOWN',
      ...this.#framework,
      shutdown: { agent_id: { value: agentId }, executor_id: { value: executorId } },
    };
  }

  message(agentId: string, executorId: string, data: Uint8Array): Call {
    return {
      type: 'MESSAGE',
      ...this.#framework,
      message: { agent_id: { value: agentId }, executor_id: { value: executorId }, data },
    };
  }

  kill({ id, agentId }: Named): Call {
    return {
      type: 'KILL',
      ...this.#framework,
      kill: { task_id: { value: id }, ...(agentId ? { agent_id: { value: agentId } } : {}) },
    };
  }

  /** An empty list asks for everything the master knows of us. */
  reconcile(tasks: readonly Named[]): Call {
    const named = tasks.map(({ id, agentId }) => ({ task_id: { value: id }, agent_id: { value: agentId } }));
    return { type: 'RECONCILE', ...this.#framework, reconcile: named.length ? { tasks: named } : {} };
  }

  /** Nothing for a status that the master made up itself: those carry no uuid and are not repeated. */
  acknowledge({ uuid, task_id, agent_id }: TaskStatus): Call | undefined {
    if (!uuid || !agent_id) return undefined;
    return { type: 'ACKNOWLEDGE', ...this.#framework, acknowledge: { agent_id, task_id, uuid } };
  }
}

const idsOf = (ids: readonly string[]) => ids.map((value) => ({ value }));
