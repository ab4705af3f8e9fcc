import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import { validateWebhooks } from '../validate-webhook.ts';
import { defaultWebhook, type WebhookConfiguration } from '../webhook.ts';

export type ValidatingWebhookConfiguration = WebhookConfiguration;

export const ValidatingWebhookConfiguration = kind<ValidatingWebhookConfiguration>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
  categories: ['api-extensions'],
  namespaced: false,
  unconditionalUpdate: false,
  defaults: ({ webhooks = [] }) => webhooks.forEach(defaultWebhook),
  validate: validateWebhooks,
  columns: [
    nameColumn,
    { name: 'Webhooks', type: 'integer', value: ({ webhooks }) => webhooks?.length ?? 0 },
    ageColumn,
  ],
});
