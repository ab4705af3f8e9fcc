import { randomUUID } from 'node:crypto';
import { microTimestamp } from '../../api/meta.ts';
import { number, text, type Values } from '../../lib/options.ts';
import type { Logger } from '../../lib/log.ts';
import type { Attributes } from '../auth/authorize.ts';
import { anonymous, userInfo, type User } from '../auth/user.ts';
import type { Annotate } from '../call.ts';
import type { Incoming } from '../dispatch.ts';
import { AuditPolicy, type AuditDecision, type AuditStage } from './policy.ts';
import { AuditSink } from './sink.ts';

export const auditOptions = {
  auditPolicyFile: text('Which requests are logged, a Policy of audit.k8s.io/v1', '', '<file>'),
  auditLogPath: text('File of audit events, - for standard output', '', '<file>'),
  auditLogMaxsize: number('Megabytes after which a new file of audit events is begun; 0 never', 100),
  auditLogMaxbackup: number('Files of audit events that are kept beside the newest', 10, { min: 1 }),
} as const;

/** Undefined when the options ask for no audit log. Throws an Error when only half of them are set. */
export function openAudit(o: Values<typeof auditOptions>, log: Logger): Audit | undefined {
  if (!o.auditPolicyFile && !o.auditLogPath) return undefined;
  if (!o.auditPolicyFile || !o.auditLogPath)
    throw new Error('an audit log needs both --audit-policy-file and --audit-log-path');
  const policy = AuditPolicy.read(o.auditPolicyFile);
  const maxBytes = o.auditLogMaxsize * 1024 * 1024;
  return new Audit(policy, new AuditSink({ path: o.auditLogPath, maxBytes, backups: o.auditLogMaxbackup }, log));
}

/** Writes down who did what, as far as the policy says. */
export class Audit {
  readonly #policy: AuditPolicy;
  readonly #sink: AuditSink;

  constructor(policy: AuditPolicy, sink: AuditSink) {
    this.#policy = policy;
    this.#sink = sink;
  }

  /** A request has come in; undefined when nothing is to be told of it. */
  begin(incoming: Incoming, user: User | undefined, asked: Attributes): AuditRecord | undefined {
    const decision = this.#policy.decide(user?.impersonator ?? user ?? anonymous, asked);
    return decision.level === 'None' ? undefined : new AuditRecord(this.#sink, decision, incoming, user, asked);
  }

  close(): Promise<void> {
    return this.#sink.close();
  }
}

/** What is told of one request, stage by stage. */
export class AuditRecord {
  readonly #annotations: Record<string, string> = {};
  readonly #sink: AuditSink;
  readonly #decision: AuditDecision;
  readonly #event: Record<string, unknown>;
  #isComplete = false;

  constructor(sink: AuditSink, decision: AuditDecision, incoming: Incoming, user: User | undefined, asked: Attributes) {
    this.#sink = sink;
    this.#decision = decision;
    this.#event = {
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: decision.level,
      auditID: randomUUID(),
      requestURI: uriOf(incoming),
      verb: asked.verb,
      ...usersOf(user),
      sourceIPs: [incoming.socket.remoteAddress ?? ''],
      ...(incoming.headers['user-agent'] ? { userAgent: incoming.headers['user-agent'] } : {}),
      ...(asked.path === '' ? { objectRef: refOf(asked) } : {}),
      requestReceivedTimestamp: microTimestamp(Date.now()),
    };
    this.#write('RequestReceived', {});
  }

  get wantsRequest(): boolean {
    return this.#decision.level !== 'Metadata';
  }

  get wantsResponse(): boolean {
    return this.#decision.level === 'RequestResponse';
  }

  /** May they? And why, where that is known. */
  decided(allowed: boolean, reason = ''): void {
    this.#annotations['authorization.k8s.io/decision'] = allowed ? 'allow' : 'forbid';
    this.#annotations['authorization.k8s.io/reason'] = reason;
  }

  /** The first word on a key counts, as nobody may take back what another has noted. */
  readonly annotate: Annotate = (key, value, level = 'Metadata') => {
    if (level === 'Metadata' || this.wantsRequest) this.#annotations[key] ??= value;
  };

  /** A body of JSON as it came; other forms are not shown. */
  request(contentType: string, body: Buffer): void {
    if (!this.wantsRequest || body.length === 0 || !/json|^$/.test(contentType)) return;
    try {
      this.#event['requestObject'] = JSON.parse(body.toString()) as unknown;
    } catch {
      // The answer says what is wrong with the body.
    }
  }

  response(object: unknown): void {
    if (this.wantsResponse) this.#event['responseObject'] = object;
  }

  /** The first bytes of an answer that goes on are sent. */
  started(code: number): void {
    this.#write('ResponseStarted', { responseStatus: { metadata: {}, code } });
  }

  /** Once: the first call counts. */
  complete(code: number, message?: string): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    const failed = code >= 400 ? { status: 'Failure', ...(message ? { message } : {}) } : {};
    this.#write('ResponseComplete', { responseStatus: { metadata: {}, ...failed, code } });
  }

  #write(stage: AuditStage, more: object): void {
    if (this.#decision.omitted.has(stage)) return;
    const annotations = Object.keys(this.#annotations).length > 0 ? { annotations: this.#annotations } : {};
    this.#sink.write({ ...this.#event, ...more, stage, stageTimestamp: microTimestamp(Date.now()), ...annotations });
  }
}

const uriOf = ({ path, query }: Incoming): string => (query.size > 0 ? `${path}?${query.toString()}` : path);

function usersOf(user: User | undefined): object {
  if (!user) return { user: {} };
  if (!user.impersonator) return { user: userInfo(user) };
  return { user: userInfo(user.impersonator), impersonatedUser: userInfo(user) };
}

function refOf({ resource, namespace, name, group, version, subresource }: Attributes): object {
  const told = { resource, namespace, name, apiGroup: group, apiVersion: version, subresource };
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== ''));
}
