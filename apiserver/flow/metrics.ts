import { Counter, Gauge, type Registry } from 'prom-client';
import type { Flow, FlowControl } from './flow-control.ts';
import type { Level } from './level.ts';

const ofFlow = ({ schema, level }: Flow) => ({ flow_schema: schema.metadata.name!, priority_level: level.name });

/** The figures of priority and fairness; put together when somebody asks, so that they cost requests nothing. */
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
  perLevel('apiserver_flowcontrol_current_executing_seats', 'Seats in use.', (level) => level.inUse);
}
