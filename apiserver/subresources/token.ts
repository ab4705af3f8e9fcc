import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import { bad, invalid, notSupported } from '../../api/field-error.ts';
import { timestamp, type KubeObject } from '../../api/meta.ts';
import { badRequest, conflict, notFound, StatusError, type ResourceName } from '../../api/status.ts';
import type { FieldError } from '../../api/kind.ts';
import { checkNodeToken } from '../admission/node-restriction.ts';
import type { Lookup } from '../auth/lookup.ts';
import type { AccountClaims, NamedUid, ServiceAccountTokens } from '../auth/service-account-tokens.ts';
import { decodeBody } from '../body.ts';
import type { Answer, Call } from '../call.ts';

interface TokenRequest extends KubeObject {
  spec?: {
    audiences?: string[];
    expirationSeconds?: number;
    boundObjectRef?: { kind?: string; apiVersion?: string; name?: string; uid?: string };
  };
}

export interface TokenGiver {
  tokens: ServiceAccountTokens;
  lookup: Lookup;
  /** Of a request that names none. */
  audiences: readonly string[];
  /** Seconds; 0 for no limit of the server's own. */
  maxSeconds: number;
}

const type = {
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'TokenRequest',
  definition: 'io.k8s.api.authentication.v1.TokenRequest',
};
const tenMinutes = 600;
const hour = 3600;

/** POST to `serviceaccounts/<name>/token`: a token for the account, bound to a pod, a Secret or a Node if one is named. */
export async function requestToken(giver: TokenGiver, call: Call): Promise<Answer> {
  const { object } = decodeBody<TokenRequest>(call.contentType, call.body, type);
  const { namespace, name } = call;
  if (object.metadata.name && object.metadata.name !== name)
    throw badRequest('the name of the object does not match the name on the URL');
  if (!giver.tokens.canIssue)
    throw new StatusError(
      501,
      undefined,
      'this server was given no key to sign tokens with: set --service-account-signing-key-file and --service-account-issuer',
    );
  const spec = readSpec(object, giver);
  const account = await giver.lookup(ServiceAccount, namespace, name);
  if (!account) throw notFound(ServiceAccount, name);
  const bound = await boundTo(spec.boundObjectRef, call, giver.lookup);
  const claims: AccountClaims = { namespace, serviceaccount: { name, uid: account.metadata.uid! }, ...bound };
  const now = Date.now();
  const token = await giver.tokens.issue(claims, spec.audiences, spec.expirationSeconds, now);
  const status = { token, expirationTimestamp: timestamp(now + spec.expirationSeconds * 1000) };
  const metadata = { name, namespace, creationTimestamp: timestamp(now) };
  return { code: 201, value: { kind: type.kind, apiVersion: `${type.group}/v1`, metadata, spec, status } };
}

function readSpec({ spec = {} }: TokenRequest, { audiences, maxSeconds }: TokenGiver) {
  const { expirationSeconds: asked = hour, boundObjectRef } = spec;
  const errors: FieldError[] = [];
  const field = 'spec.expirationSeconds';
  if (asked < tenMinutes) errors.push(bad(field, asked, 'may not specify a duration less than 10 minutes'));
  if (asked > 2 ** 32) errors.push(bad(field, asked, 'may not specify a duration larger than 2^32 seconds'));
  if (errors.length > 0) throw invalid(type, '', errors);
  return {
    audiences: spec.audiences?.length ? spec.audiences : [...audiences],
    expirationSeconds: maxSeconds > 0 ? Math.min(asked, maxSeconds) : asked,
    ...(boundObjectRef ? { boundObjectRef } : {}),
  };
}

async function boundTo(
  ref: NonNullable<TokenRequest['spec']>['boundObjectRef'],
  { namespace, name, user }: Call,
  lookup: Lookup,
): Promise<Pick<AccountClaims, 'pod' | 'secret' | 'node'>> {
  if (!ref) {
    checkNodeToken(user, name, ref, undefined);
    return {};
  }
  const found = async (kind: ResourceName, object: Promise<Readonly<KubeObject> | undefined>): Promise<NamedUid> => {
    const there = await object;
    if (!there) throw notFound(kind, ref.name ?? '');
    const uid = there.metadata.uid!;
    if (ref.uid && ref.uid !== uid)
      throw conflict(
        kind,
        ref.name ?? '',
        `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      );
    return { name: ref.name!, uid };
  };
  switch (`${ref.apiVersion ?? ''} ${ref.kind ?? ''}`) {
    case 'v1 Pod': {
      const pod = await lookup(Pod, namespace, ref.name ?? '');
      if (pod && pod.spec.serviceAccountName !== name)
        throw badRequest(
          `cannot bind token for serviceaccount "${name}" to pod running with different serviceaccount name.`,
        );
      checkNodeToken(user, name, ref, pod);
      const claim = await found(Pod, Promise.resolve(pod));
      const node = pod?.spec.nodeName ? await lookup(Node, '', pod.spec.nodeName) : undefined;
      return { pod: claim, ...(node ? { node: { name: node.metadata.name!, uid: node.metadata.uid! } } : {}) };
    }
    case 'v1 Secret':
      checkNodeToken(user, name, ref, undefined);
      return { secret: await found(Secret, lookup(Secret, namespace, ref.name ?? '')) };
    case 'v1 Node':
      checkNodeToken(user, name, ref, undefined);
      return { node: await found(Node, lookup(Node, '', ref.name ?? '')) };
    default:
      throw invalid(type, '', [notSupported('spec.boundObjectRef', ref.kind ?? '', ['Node', 'Pod', 'Secret'])]);
  }
}
