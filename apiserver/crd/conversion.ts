import { randomUUID } from 'node:crypto';
import { reviewVersions, type CustomConversion } from '../../api/kinds/custom-resource-definition.ts';
import type { KubeObject } from '../../api/meta.ts';
import { internalError } from '../../api/status.ts';
import type { WebhookCaller } from '../webhooks/caller.ts';

const timeoutMs = 30_000;

/** Brings objects of one kind to another of its versions. */
export type Convert = (objects: KubeObject[], apiVersion: string) => KubeObject[] | Promise<KubeObject[]>;

/** As the definition says: by changing nothing but the version, or by asking its webhook. */
export function converter(conversion: CustomConversion | undefined, webhooks: WebhookCaller): Convert {
  const { strategy, webhook } = conversion ?? { strategy: 'None' };
  if (strategy !== 'Webhook' || !webhook?.clientConfig)
    return (objects, apiVersion) => objects.map((object) => ({ ...object, apiVersion }));
  return (objects, apiVersion) => ask(webhook, objects, apiVersion, webhooks);
}

interface ConversionReview {
  response?: { uid?: string; convertedObjects?: KubeObject[]; result?: { status?: string; message?: string } };
}

async function ask(
  { clientConfig, conversionReviewVersions }: NonNullable<CustomConversion['webhook']>,
  objects: KubeObject[],
  apiVersion: string,
  webhooks: WebhookCaller,
): Promise<KubeObject[]> {
  const wrong = objects.filter((object) => object.apiVersion !== apiVersion);
  if (wrong.length === 0) return objects;
  const wrongly = (did: string) =>
    internalError(`conversion webhook for ${wrong[0]!.apiVersion}, Kind=${wrong[0]!.kind} ${did}`);
  const failed = (why: string) => wrongly(`failed: ${why}`);
  const uid = randomUUID();
  const version = conversionReviewVersions.find((one) => reviewVersions.includes(one)) ?? 'v1';
  const review = {
    kind: 'ConversionReview',
    apiVersion: `apiextensions.k8s.io/${version}`,
    request: { uid, desiredAPIVersion: apiVersion, objects: wrong },
  };
  let response: ConversionReview['response'];
  try {
    ({ response } = (await webhooks.post(
      clientConfig!,
      review,
      timeoutMs,
      new AbortController().signal,
    )) as ConversionReview);
  } catch (error) {
    throw failed((error as Error).message);
  }
  if (response?.uid !== uid)
    throw failed(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response?.uid ?? '')}`);
  const { status = '', message } = response.result ?? {};
  if (status !== 'Success') throw failed(message || `response.result.status was '${status}', not 'Success'`);
  const converted = response.convertedObjects ?? [];
  if (converted.length !== wrong.length)
    throw wrongly(`returned ${converted.length} objects, expected ${wrong.length}`);
  return objects.map((object) => {
    const at = wrong.indexOf(object);
    return at < 0
      ? object
      : checked(object, converted[at]!, apiVersion, (why) => wrongly(`returned invalid object: ${why}`));
  });
}

/** What of the metadata says which object it is. */
const identity = [
  ['name', 'name'],
  ['namespace', 'namespace'],
  ['uid', 'UID'],
] as const;

/** A webhook may change labels and annotations, nothing else of the metadata. */
function checked(before: KubeObject, after: KubeObject, apiVersion: string, wrong: (why: string) => Error): KubeObject {
  if (after?.apiVersion !== apiVersion)
    throw wrong(`invalid groupVersion (expected ${apiVersion}, received ${String(after?.apiVersion)})`);
  if (after.kind !== before.kind) throw wrong(`invalid kind (expected ${before.kind}, received ${String(after.kind)})`);
  if (!after.metadata) throw wrong('missing metadata in converted object');
  for (const [member, plain] of identity) {
    const [was, is] = [before.metadata[member] ?? '', after.metadata[member] ?? ''];
    if (was !== is) throw wrong(`must have the same ${plain}: ${was} != ${is}`);
  }
  const { labels, annotations } = after.metadata;
  const { labels: _labels, annotations: _annotations, ...fixed } = before.metadata;
  return { ...after, metadata: { ...fixed, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) } };
}
