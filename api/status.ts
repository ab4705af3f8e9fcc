/** The body of every refusal: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: { resourceVersion?: string; continue?: string };
  status: 'Success' | 'Failure';
  message?: string;
  reason?: Reason;
  details?: StatusDetails;
  code: number;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export type Reason =
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Gone'
  | 'Invalid'
  | 'ServerTimeout'
  | 'Timeout'
  | 'TooManyRequests'
  | 'BadRequest'
  | 'MethodNotAllowed'
  | 'NotAcceptable'
  | 'RequestEntityTooLarge'
  | 'UnsupportedMediaType'
  | 'InternalError'
  | 'Expired'
  | 'ServiceUnavailable';

/** The one error that crosses the wire: thrown by the apiserver, rebuilt by the client from the answer. */
export class StatusError extends Error {
  readonly status: Status;

  constructor(code: number, reason: Reason | undefined, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'StatusError';
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason ? { reason } : {}),
      ...(details ? { details } : {}),
      code,
    };
  }

  get code(): number {
    return this.status.code;
  }

  get reason(): Reason | undefined {
    return this.status.reason;
  }

  static from(status: Status): StatusError {
    const error = new StatusError(
      status.code,
      status.reason,
      status.message ?? `the server answered ${status.code}`,
      status.details,
    );
    error.status.metadata = status.metadata ?? {};
    return error;
  }
}

const hasReason =
  (...reasons: Reason[]) =>
  (error: unknown): boolean =>
    error instanceof StatusError && error.reason !== undefined && reasons.includes(error.reason);

export const isNotFound = hasReason('NotFound');
export const isAlreadyExists = hasReason('AlreadyExists');
export const isConflict = hasReason('Conflict');
/** The resourceVersion or continue token is older than the history that is kept: list again. */
export const isGone = hasReason('Gone', 'Expired');
export const isInvalid = hasReason('Invalid');
export const isForbidden = hasReason('Forbidden');
