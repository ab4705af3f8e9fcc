import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { StoreUnavailable } from './store.ts';

/**
 * Does `work` until the store plays along; whoever starts servers need not start etcd first. Logs once for every new
 * reason why it does not. Rejects with the signal's reason when it aborts, and with whatever else is wrong.
 */
export async function onceStoreAnswers<T>(work: () => Promise<T>, log: Logger, signal: AbortSignal): Promise<T> {
  const backoff = new Backoff({ first: 100, max: 3000 });
  let known = '';
  for (;;) {
    signal.throwIfAborted();
    try {
      const done = await work();
      if (known) log.info('the store answers');
      return done;
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      if (error.message !== known) log.warn({ reason: error.message }, 'waiting for the store');
      known = error.message;
    }
    await delay(backoff.next(), signal);
  }
}
