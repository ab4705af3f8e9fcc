/** The stream of the operator API: everybody who subscribed hears of every change. */
import type { Event } from '../mesos/master.ts';
import type { Master } from './state.ts';

export function tellOperators(master: Master, event: Event): void {
  for (const stream of master.operators) stream.send(event);
}
