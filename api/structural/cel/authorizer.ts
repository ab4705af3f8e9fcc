import type { Environment } from '@marcbachmann/cel-js';
import { checkDnsLabel, checkDnsSubdomain } from '../../names.ts';
import { define } from './define.ts';

/** What an expression asks the authorizer for: one of the two forms. */
export type CelQuestion = { verb: string } & ({ path: string } | CelResource);

export interface CelResource {
  group: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name?: string;
  fieldSelector?: string;
  labelSelector?: string;
}

export interface CelDecision {
  allowed: boolean;
  reason?: string | undefined;
  /** Why nobody could tell. */
  error?: string | undefined;
}

/** Decides about the one who sent the request, or about a service account. */
export type CelJudge = (question: CelQuestion, account: CelAccount | undefined) => CelDecision;

export interface CelAccount {
  namespace: string;
  name: string;
}

const [authorizer, path, group, resource, decision] = [
  'Authorizer',
  'PathCheck',
  'GroupCheck',
  'ResourceCheck',
  'Decision',
].map((name) => `kubernetes.authorization.${name}`) as [string, string, string, string, string];

export const authorizerType = authorizer;

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library */
export function authorizers(environment: Environment): void {
  environment
    .registerType(path, { ctor: PathCheck, fields: {} })
    .registerType(group, { ctor: GroupCheck, fields: {} })
    .registerType(resource, { ctor: ResourceCheck, fields: {} })
    .registerType(decision, { ctor: Decision, fields: {} })
    .registerType(authorizer, { ctor: CelAuthorizer, fields: { requestResource: resource } });
  define(environment, {
    [`${authorizer}.path(string): ${path}`]: ({ judge, account }: CelAuthorizer, text: string) =>
      new PathCheck(judge, account, filled('path', text)),
    [`${authorizer}.group(string): ${group}`]: ({ judge, account }: CelAuthorizer, name: string) =>
      new GroupCheck(judge, account, name),
    [`${authorizer}.serviceAccount(string, string): ${authorizer}`]: serviceAccount,
    [`${group}.resource(string): ${resource}`]: ({ judge, account, group }: GroupCheck, name: string) =>
      new ResourceCheck(judge, account, { group, resource: filled('resource', name) }),
    [`${path}.check(string): ${decision}`]: ({ judge, account, path }: PathCheck, verb: string) =>
      new Decision(judge({ verb, path }, account)),
    [`${resource}.check(string): ${decision}`]: ({ judge, account, asked }: ResourceCheck, verb: string) =>
      new Decision(judge({ ...asked, verb }, account)),
    [`${decision}.allowed(): bool`]: ({ made }: Decision) => made.allowed,
    [`${decision}.reason(): string`]: ({ made }: Decision) => made.reason ?? '',
    [`${decision}.errored(): bool`]: ({ made }: Decision) => made.error !== undefined,
    [`${decision}.error(): string`]: ({ made }: Decision) => made.error ?? '',
  });
  for (const part of ['subresource', 'namespace', 'name', 'fieldSelector', 'labelSelector'] as const)
    define(environment, {
      [`${resource}.${part}(string): ${resource}`]: ({ judge, account, asked }: ResourceCheck, text: string) =>
        new ResourceCheck(judge, account, { ...asked, [part]: text }),
    });
}

/** The variable `authorizer`. */
export class CelAuthorizer {
  readonly judge: CelJudge;
  readonly account: CelAccount | undefined;
  /** A check of what the request itself is about. */
  readonly requestResource: ResourceCheck | undefined;

  constructor(judge: CelJudge, requested?: CelResource, account?: CelAccount) {
    this.judge = judge;
    this.account = account;
    this.requestResource = requested && new ResourceCheck(judge, account, requested);
  }
}

function serviceAccount({ judge }: CelAuthorizer, namespace: string, name: string): CelAuthorizer {
  if (checkDnsSubdomain(name).length > 0) throw new Error('Invalid service account name');
  if (checkDnsLabel(namespace).length > 0) throw new Error('Invalid service account namespace');
  return new CelAuthorizer(judge, undefined, { namespace, name });
}

function filled(what: string, text: string): string {
  if (text.trim() === '') throw new Error(`${what} must not be empty`);
  return text;
}

/** What is asked of whom, as far as it is said. */
class Check {
  readonly judge: CelJudge;
  readonly account: CelAccount | undefined;
  constructor(judge: CelJudge, account: CelAccount | undefined) {
    this.judge = judge;
    this.account = account;
  }
}

class PathCheck extends Check {
  readonly path: string;
  constructor(judge: CelJudge, account: CelAccount | undefined, path: string) {
    super(judge, account);
    this.path = path;
  }
}

class GroupCheck extends Check {
  readonly group: string;
  constructor(judge: CelJudge, account: CelAccount | undefined, group: string) {
    super(judge, account);
    this.group = group;
  }
}

class ResourceCheck extends Check {
  readonly asked: CelResource;
  constructor(judge: CelJudge, account: CelAccount | undefined, asked: CelResource) {
    super(judge, account);
    this.asked = asked;
  }
}

class Decision {
  readonly made: CelDecision;
  constructor(made: CelDecision) {
    this.made = made;
  }
}
