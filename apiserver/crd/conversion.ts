import { randomUUID } from 'node:crypto';
import type { CustomConversion } from '../../api/kinds/custom-resource-definition.ts';
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
  const failed = (why: string) =>
    internalError(`conversion webhook for ${wrong[0]!.apiVersion}, Kind=${wrong[0]!.kind} failed: ${why}`);
  const uid = randomUUID();
  const version = conversionReviewVersions.find((one) => one === 'v1') ?? 'v1';
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
  if (response.result?.status !== 'Success') throw failed(response.result?.message ?? 'no reason given');
  const converted = response.convertedObjects ?? [];
  if (converted.length !== wrong.length)
    throw failed(`webhook returned ${converted.length} objects, expected ${wrong.length}`);
  return objects.map((object) => {
    const at = wrong.indexOf(object);
    return at < 0 ? object : checked(object, converted[at]!, apiVersion, failed);
  });
}

/** A webhook may change labels and annotations, nothing else of the metadata. */
function checked(
  before: KubeObject,
  after: KubeObject,
  apiVersion: string,
  failed: (why: string) => Error,
): KubeObject {
  if (after?.apiVersion !== apiVersion)
    throw failed(`returned object has the wrong version: ${String(after?.apiVersion)}, expected ${apiVersion}`);
  if (after.kind !== before.kind) throw failed(`returned object has the wrong kind: ${String(after.kind)}`);
  const { labels, annotations } = after.metadata ?? {};
  const { labels: _labels, annotations: _annotations, ...fixed } = before.metadata;
  return { ...after, metadata: { ...fixed, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) } };
}
