import { internalError, StatusError, timedOut } from '../api/status.ts';
import type { Logger } from '../lib/log.ts';
import { StoreUnavailable, TooLarge } from './store.ts';

/** The refusal of a body over the limit, in bytes. */
export const bodyTooLarge = (limit: number): StatusError =>
  new StatusError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limit}`);

/** Whatever was thrown, as the refusal its caller reads. What nobody expected is logged here, once. */
export function toStatusError(error: unknown, log: Logger): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof StoreUnavailable) {
    if (error.maybeWritten) return timedOut('Timeout: request did not complete within the allotted timeout');
    return new StatusError(503, 'ServiceUnavailable', `the store does not answer: ${error.message}`, {
      retryAfterSeconds: 1,
    });
  }
  if (error instanceof TooLarge)
    return new StatusError(413, 'RequestEntityTooLarge', `Request entity too large: ${error.message}`);
  if (error instanceof RangeError && error.message.includes('call stack'))
    return new StatusError(400, 'BadRequest', 'the object is nested too deeply');
  const { statusCode } = error as { statusCode?: unknown };
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return new StatusError(statusCode, 'BadRequest', (error as Error).message);
  log.error({ err: error }, 'a request failed for a reason of ours');
  return internalError(error instanceof Error ? error.message : String(error));
}
