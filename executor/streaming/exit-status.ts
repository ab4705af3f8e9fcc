import type { Status } from '../../api/status.ts';

/** A Status, as much of it as a session's end needs. */
export interface Ending {
  status: 'Success' | 'Failure';
  message?: string;
  [member: string]: unknown;
}

/** What the error channel of exec and attach says at the end. */
export function exitStatus(code: number): Ending {
  if (code === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit code ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  };
}

/** The same for a session that could not be run. */
export const failureStatus = (message: string): Ending => ({
  metadata: {},
  status: 'Failure',
  message,
  reason: 'InternalError',
  details: { causes: [{ message }] },
  code: 500,
});

/** The exit code in such a text; throws what it says where there is none. */
export function exitCodeIn(text: string): number {
  if (text === '') throw new Error('the session ended before the command did');
  const status = parse(text);
  if (!status) throw new Error(text);
  if (status.status === 'Success') return 0;
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  if (cause?.message === undefined) throw new Error(status.message ?? text);
  return Number(cause.message);
}

function parse(text: string): Partial<Status> | undefined {
  try {
    return JSON.parse(text) as Partial<Status>;
  } catch {
    return undefined; // v1 and v3 of the protocol send bare text
  }
}
