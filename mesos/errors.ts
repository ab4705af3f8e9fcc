/** What went wrong between us and a Mesos server; the same for streams and for single calls. */
export type MesosErrorCode =
  /** 400, 404, 405, 406, 409, 415, 501 … : the server understood and refuses this very call. */
  | 'refused'
  /** 401: credentials missing or wrong. */
  | 'unauthorized'
  /** 403: not allowed, or not subscribed. */
  | 'forbidden'
  /** 503 and other 5xx, and the 404 of a server whose endpoints are not up yet: ask again later. */
  | 'unavailable'
  /** A 307 that leads nowhere: too many, without a usable Location, or to itself. */
  | 'redirect'
  /** No connection, or it broke. */
  | 'connection'
  /** The stream is silent for longer than the heartbeats allow. */
  | 'silent'
  /** What came is not RecordIO or no such message. */
  | 'malformed'
  /** The caller closed the session or aborted its signal. */
  | 'closed';

const retryable = new Set<MesosErrorCode>(['unavailable', 'redirect', 'connection', 'silent', 'malformed']);

export class MesosError extends Error {
  readonly code: MesosErrorCode;
  /** HTTP status, where the server gave one. */
  readonly status: number | undefined;
  /** The same request may succeed later although nobody changed a setting. */
  readonly retryable: boolean;

  constructor(code: MesosErrorCode, message: string, { status, cause }: { status?: number; cause?: unknown } = {}) {
    super(message, { cause });
    this.name = 'MesosError';
    this.code = code;
    this.status = status;
    this.retryable = retryable.has(code);
  }
}

/** The error of an answer that is neither success nor redirect; `text` is its body. */
export function errorOfStatus(status: number, text: string, what: string): MesosError {
  const code = codeOf(status, text);
  const said = text.trim() === '' ? '' : `: ${text.trim().slice(0, 2000)}`;
  return new MesosError(code, `${what} was answered ${status}${said}`, { status });
}

function codeOf(status: number, text: string): MesosErrorCode {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 429 || (status >= 500 && status !== 501)) return 'unavailable';
  // Mesos listens before its endpoints exist; an empty 404 is that moment.
  if (status === 404 && text.trim() === '') return 'unavailable';
  return 'refused';
}
