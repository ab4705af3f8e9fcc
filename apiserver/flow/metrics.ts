import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Flow, FlowControl } from './flow-control.ts';
import type { Level } from './level.ts';

const ofFlow = ({ schema, level }: Flow) => ({ flow_schema: schema.metadata.name!, priority_level: level.name });

/** The figures of priority and fairness; all but times are put together when somebody asks. */
export function addFlowMetrics(control: FlowControl, registry: Registry): void {
  const registers = [registry];
  const labelNames = ['flow_schema', 'priority_level'];
  new Counter({
    name: 'apiserver_flowcontrol_dispatched_requests_total',
    help: 'Requests that got a seat.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const flow of control.flows) this.inc(ofFlow(flow), flow.dispatched);
    },
  });
  new Counter({
    name: 'apiserver_flowcontrol_rejected_requests_total',
    help: 'Requests that were refused, and why.',
    labelNames: [...labelNames, 'reason'],
    registers,
    collect() {
      this.reset();
      for (const flow of control.flows)
        for (const [reason, count] of Object.entries(flow.rejected)) this.inc({ ...ofFlow(flow), reason }, count);
    },
  });
  addClock(control, registers, labelNames);
  const perFlow = (name: string, help: string, value: (flow: Flow) => number) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const flow of control.flows) this.set(ofFlow(flow), value(flow));
      },
    });
  perFlow('apiserver_flowcontrol_current_executing_requests', 'Requests that have a seat.', (flow) => flow.executing);
  perFlow('apiserver_flowcontrol_current_executing_seats', 'Seats in use.', (flow) => flow.seats);
  perFlow('apiserver_flowcontrol_current_inqueue_requests', 'Requests that wait for a seat.', (flow) => flow.waiting);
  const perLevel = (name: string, help: string, value: (level: Level) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['priority_level'],
      registers,
      collect() {
        this.reset();
        for (const level of control.seats.levels.values()) this.set({ priority_level: level.name }, value(level));
      },
    });
  perLevel('apiserver_flowcontrol_nominal_limit_seats', 'Seats by share.', (level) => level.nominal);
  perLevel('apiserver_flowcontrol_lower_limit_seats', 'Seats that are not lent.', (level) => level.guaranteed);
}

/** Buckets in seconds. */
const waits = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];

function addClock(control: FlowControl, registers: Registry[], labelNames: string[]): void {
  const waited = new Histogram({
    name: 'apiserver_flowcontrol_request_wait_duration_seconds',
    help: 'How long requests waited for a seat.',
    labelNames: [...labelNames, 'execute'],
    buckets: waits,
    registers,
  });
  const executed = new Histogram({
    name: 'apiserver_flowcontrol_request_execution_seconds',
    help: 'How long requests held their seat.',
    labelNames: [...labelNames, 'type'],
    buckets: waits,
    registers,
  });
  control.clock = {
    waited: (flow, seconds, execute) => waited.observe({ ...ofFlow(flow), execute: String(execute) }, seconds),
    executed: (flow, seconds, isWatch) =>
      executed.observe({ ...ofFlow(flow), type: isWatch ? 'watch' : 'regular' }, seconds),
  };
}
