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

/** For `.catch`: undefined for what is not there; every other error goes on. */
export function unlessNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
}
export const isAlreadyExists = hasReason('AlreadyExists');
export const isConflict = hasReason('Conflict');
/** The resourceVersion or continue token is older than the history that is kept: list again. */
export const isGone = hasReason('Gone', 'Expired');
export const isInvalid = hasReason('Invalid');
export const isForbidden = hasReason('Forbidden');

/** The resource names that refusals carry: `pods`, or `deployments.apps`. */
export interface ResourceName {
  group: string;
  plural: string;
}

const qualified = ({ group, plural }: ResourceName): string => (group ? `${plural}.${group}` : plural);

const detailsOf = (resource: ResourceName, name: string): StatusDetails => ({
  ...(name ? { name } : {}),
  ...(resource.group ? { group: resource.group } : {}),
  ...(resource.plural ? { kind: resource.plural } : {}),
});

export const badRequest = (message: string): StatusError => new StatusError(400, 'BadRequest', message);

export const notFound = (resource: ResourceName, name: string): StatusError =>
  new StatusError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, detailsOf(resource, name));

export const alreadyExists = (resource: ResourceName, name: string): StatusError =>
  new StatusError(409, 'AlreadyExists', `${qualified(resource)} "${name}" already exists`, detailsOf(resource, name));

export const conflict = (resource: ResourceName, name: string, why: string): StatusError =>
  new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`,
    detailsOf(resource, name),
  );

/** The conflict of two writers: the caller read an older object than there is. */
export const modified = (resource: ResourceName, name: string): StatusError =>
  conflict(
    resource,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

export const forbidden = (resource: ResourceName, name: string, why: string): StatusError =>
  new StatusError(
    403,
    'Forbidden',
    resource.plural
      ? name
        ? `${qualified(resource)} "${name}" is forbidden: ${why}`
        : `${qualified(resource)} is forbidden: ${why}`
      : `forbidden: ${why}`,
    detailsOf(resource, name),
  );

export const methodNotAllowed = (resource: ResourceName, action: string): StatusError =>
  new StatusError(
    405,
    'MethodNotAllowed',
    `${action} is not supported on resources of kind "${qualified(resource)}"`,
    detailsOf(resource, ''),
  );

/** A page or watch older than the kept history. */
export const expired = (message: string): StatusError => new StatusError(410, 'Expired', message);

export const timedOut = (message: string, retryAfterSeconds = 1): StatusError =>
  new StatusError(504, 'Timeout', message, { retryAfterSeconds });

export const internalError = (message: string): StatusError =>
  new StatusError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });
