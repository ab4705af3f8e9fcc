/** What an agent has, with reservations and volumes as it remembers them, and the operations that change it. */
import type { OperationState, OperationStatus } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { newUuid } from '../mesos/uuid.ts';
import { applyOperation } from './operations.ts';
import type { OperationOrder } from './state.ts';
import type { Timings } from './timings.ts';
import { Updates } from './updates.ts';
import { keepResources, recallResources } from './volumes.ts';

export interface HoldingsOptions {
  resources: Resource[];
  /** Where it is remembered; undefined: nowhere. */
  workDir: string | undefined;
  timings: Timings;
  agentId: () => string;
  forward: (frameworkId: string, status: OperationStatus) => void;
}

export class Holdings {
  readonly #options: HoldingsOptions;
  readonly #updates: Updates<OperationStatus>;
  #total: Resource[];

  constructor(options: HoldingsOptions) {
    const { resources, workDir, timings, forward } = options;
    this.#options = options;
    this.#total = workDir === undefined ? resources : recallResources(workDir, resources);
    this.#updates = new Updates({
      timings,
      subject: ({ operation_id }) => operation_id!.value,
      uuid: ({ uuid }) => uuid?.value,
      forward,
    });
  }

  get total(): Resource[] {
    return this.#total;
  }

  /** Of an agent that has other flags now: what was reserved and created stays so. */
  reconfigure(flags: readonly Resource[]): void {
    const { workDir } = this.#options;
    this.#total = workDir === undefined ? [...flags] : recallResources(workDir, flags);
  }

  operate({ frameworkId, operation, uuid }: OperationOrder): void {
    const before = this.#total;
    const applied = applyOperation(before, operation);
    if ('resources' in applied) {
      this.#total = applied.resources;
      if (this.#options.workDir !== undefined) keepResources(this.#options.workDir, before, this.#total);
    }
    if (frameworkId === undefined || !operation.id) return;
    const state = 'resources' in applied ? 'OPERATION_FINISHED' : 'OPERATION_DROPPED';
    // It is told when the master has answered the call.
    setImmediate(() => this.#tell(frameworkId, operation.id!.value, uuid, state));
  }

  acknowledge(frameworkId: string, operationId: string, uuid: Uint8Array): void {
    if (this.#updates.acknowledge(frameworkId, operationId, uuid)) this.#updates.forget(frameworkId, operationId);
  }

  /** The master waits for the end of an operation, of which we may never have heard. */
  settle(frameworkId: string, operationId: string): void {
    if (!this.#updates.has(frameworkId, operationId))
      this.#tell(frameworkId, operationId, newUuid(), 'OPERATION_DROPPED');
  }

  resend(): void {
    this.#updates.resend();
  }

  forget(frameworkId: string): void {
    this.#updates.forget(frameworkId);
  }

  stop(): void {
    this.#updates.stop();
  }

  #tell(frameworkId: string, operationId: string, uuid: Uint8Array, state: OperationState): void {
    const named = { operation_id: { value: operationId }, agent_id: { value: this.#options.agentId() } };
    this.#updates.add(frameworkId, { ...named, state, uuid: { value: uuid } });
  }
}
