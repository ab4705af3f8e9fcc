import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import { validateWebhooks } from '../validate-webhook.ts';
import { defaultWebhook, type WebhookConfiguration } from '../webhook.ts';

export type MutatingWebhookConfiguration = WebhookConfiguration;

export const MutatingWebhookConfiguration = kind<MutatingWebhookConfiguration>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
  categories: ['api-extensions'],
  namespaced: false,
  unconditionalUpdate: false,
  defaults: ({ webhooks = [] }) => {
    for (const webhook of webhooks) {
      webhook.reinvocationPolicy ??= 'Never';
      defaultWebhook(webhook);
    }
  },
  validate: validateWebhooks,
  columns: [
    nameColumn,
    { name: 'Webhooks', type: 'integer', value: ({ webhooks }) => webhooks?.length ?? 0 },
    ageColumn,
  ],
});
