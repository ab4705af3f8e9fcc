import { MutatingWebhookConfiguration } from '../../api/kinds/mutating-webhook-configuration.ts';
import { ValidatingWebhookConfiguration } from '../../api/kinds/validating-webhook-configuration.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { badRequest } from '../../api/status.ts';
import type { Webhook, WebhookConfiguration } from '../../api/webhook.ts';
import type { AdmissionRequest, AdmissionRule } from '../admission/order.ts';
import { applyJsonPatch } from '../patch/json.ts';
import { AuditNotes, type Place } from './audit-notes.ts';
import type { WebhookCaller } from './caller.ts';
import { AuthorizerChecks } from './authorizer-checks.ts';
import { conditionsHold, sightOf } from './conditions.ts';
import { matchedKind, type World } from './matching.ts';
import { denial, failing, responseOf, reviewVersionFor, type ReviewResponse } from './response.ts';
import { reviewRequest, shownIn } from './review.ts';
import { rewrite, subjectOf } from './rewrite.ts';

/** Configurations are beyond their own reach, or a broken one could never be mended. */
const untouchable = new Set([
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'mutatingwebhookconfigurations',
  'validatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
]);

const isUntouchable = ({ group, plural }: Kind): boolean =>
  group === 'admissionregistration.k8s.io' && untouchable.has(plural);

/** MutatingAdmissionWebhook: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ */
export function mutatingWebhooks(world: World, caller: WebhookCaller): AdmissionRule {
  return {
    name: 'MutatingAdmissionWebhook',
    isForeign: true,
    mutate: (request) => {
      const webhooks = webhooksOf(world, MutatingWebhookConfiguration, request);
      return webhooks.length > 0 ? mutateAll(webhooks, request, world, caller) : undefined;
    },
  };
}

/** ValidatingAdmissionWebhook: all that match are asked at once. */
export function validatingWebhooks(world: World, caller: WebhookCaller): AdmissionRule {
  return {
    name: 'ValidatingAdmissionWebhook',
    validate: (request) => {
      const webhooks = webhooksOf(world, ValidatingWebhookConfiguration, request);
      return webhooks.length > 0 ? validateAll(webhooks, request, world, caller) : undefined;
    },
  };
}

interface Placed {
  webhook: Webhook;
  place: Place;
}

function webhooksOf(world: World, kind: { group: string; plural: string }, request: AdmissionRequest): Placed[] {
  const configurations = world.feed.cache(kind);
  if (configurations.size === 0 || isUntouchable(request.kind)) return [];
  // The cache keeps them by name, which is their order.
  return configurations
    .list()
    .flatMap(({ object }) => ((object as WebhookConfiguration).webhooks ?? []).map((webhook) => ({ webhook, object })))
    .map(({ webhook, object }, index) => ({
      webhook,
      place: { configuration: object.metadata.name!, webhook: webhook.name, index, round: 0 },
    }));
}

/** In order; those that ask for it once more when a later one changed the object. True when one changed it. */
async function mutateAll(
  webhooks: readonly Placed[],
  request: AdmissionRequest,
  world: World,
  caller: WebhookCaller,
): Promise<boolean> {
  const first = JSON.stringify(subjectOf(request));
  const seen = new Map<Placed, string>();
  for (const one of webhooks)
    if (await mutateBy(one, request, world, caller)) seen.set(one, JSON.stringify(subjectOf(request)));
  const last = JSON.stringify(subjectOf(request));
  for (const [{ webhook, place }, after] of seen)
    if (webhook.reinvocationPolicy === 'IfNeeded' && after !== last)
      await mutateBy({ webhook, place: { ...place, round: 1 } }, request, world, caller);
  return seen.size > 0 && JSON.stringify(subjectOf(request)) !== first;
}

/** True when the webhook was asked. */
async function mutateBy(
  { webhook, place }: Placed,
  request: AdmissionRequest,
  world: World,
  caller: WebhookCaller,
): Promise<boolean> {
  const notes = new AuditNotes('mutation', place, request.options);
  const asked = await ask(webhook, request, world, caller, notes);
  if (!asked) return false;
  const { response, kind, object } = asked;
  const before = JSON.stringify(subjectOf(request));
  if (response.patch && object) notes.patched(await applyPatch(webhook, response, request, object, kind));
  notes.mutated(JSON.stringify(subjectOf(request)) !== before);
  return true;
}

async function applyPatch(
  webhook: Webhook,
  { patch: encoded = '' }: ReviewResponse,
  request: AdmissionRequest,
  object: KubeObject,
  kind: Kind,
): Promise<unknown> {
  try {
    const patch: unknown = JSON.parse(Buffer.from(encoded, 'base64').toString());
    await rewrite(request, applyJsonPatch(object, patch), kind);
    return patch;
  } catch (error) {
    throw failing(webhook.name, (error as Error).message);
  }
}

async function validateAll(
  webhooks: readonly Placed[],
  request: AdmissionRequest,
  world: World,
  caller: WebhookCaller,
): Promise<void> {
  const outcomes = await Promise.allSettled(
    webhooks.map(({ webhook, place }) =>
      ask(webhook, request, world, caller, new AuditNotes('validating', place, request.options)),
    ),
  );
  const refused = outcomes.find((outcome) => outcome.status === 'rejected');
  if (refused) throw refused.reason;
}

interface Asked {
  response: ReviewResponse;
  kind: Kind;
  object: KubeObject | undefined;
}

/** Asks one webhook whom the request concerns; throws what it refuses with, and faults unless they are to be ignored. */
async function ask(
  webhook: Webhook,
  request: AdmissionRequest,
  world: World,
  caller: WebhookCaller,
  notes: AuditNotes,
): Promise<Asked | undefined> {
  const kind = matchedKind(webhook, request, world);
  if (!kind) return undefined;
  const { object, old } = await shownIn(kind, request);
  const review = reviewRequest(request, kind, object, old);
  try {
    if (webhook.matchConditions?.length) {
      const sight = sightOf(review, new AuthorizerChecks(world.authorizer, request));
      if (!(await conditionsHold(webhook.matchConditions, sight))) return undefined;
    }
  } catch (error) {
    if (webhook.failurePolicy === 'Ignore') return undefined;
    throw failing(webhook.name, (error as Error).message);
  }
  if (request.options.dryRun && webhook.sideEffects !== 'None' && webhook.sideEffects !== 'NoneOnDryRun')
    throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
  let response: ReviewResponse;
  try {
    response = await call(webhook, review, notes.by === 'mutation', caller);
  } catch (error) {
    if (webhook.failurePolicy !== 'Ignore') throw error;
    notes.failedOpen();
    return undefined;
  }
  notes.said(response.auditAnnotations);
  for (const warning of response.warnings ?? []) request.options.warn?.(warning);
  if (response.allowed !== true) throw denial(webhook.name, response);
  return { response, kind, object };
}

async function call(
  webhook: Webhook,
  review: { uid: string },
  mutating: boolean,
  caller: WebhookCaller,
): Promise<ReviewResponse> {
  const apiVersion = `admission.k8s.io/${reviewVersionFor(webhook)}`;
  const body = { kind: 'AdmissionReview', apiVersion, request: review };
  const timeoutMs = (webhook.timeoutSeconds ?? 10) * 1000;
  let answer: unknown;
  try {
    answer = await caller.post(webhook.clientConfig, body, timeoutMs, new AbortController().signal);
  } catch (error) {
    throw failing(webhook.name, `failed to call webhook: ${(error as Error).message}`);
  }
  return responseOf(webhook.name, answer ?? {}, { uid: review.uid, apiVersion, mutating });
}
