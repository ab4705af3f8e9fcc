import type { Kind } from '../../api/kind.ts';
import { APIService } from '../../api/kinds/api-service.ts';
import type { Condition } from '../../api/meta.ts';
import { isNotFound } from '../../api/status.ts';
import { serverWrites } from '../call.ts';
import { withCondition } from '../conditions.ts';
import { self } from '../auth/user.ts';
import type { Registry } from '../registry.ts';

interface Why {
  reason: string;
  message: string;
}

/** What kept a group version from being discovered, in the words of its condition. */
export function unavailableBecause({ message }: Error, { spec: { service } }: Readonly<APIService>): Why {
  const where = `service/${service?.name} in "${service?.namespace}"`;
  if (/^service ".*" not found/.test(message)) return { reason: 'ServiceNotFound', message: `${where} is not present` };
  if (message.startsWith('no service port'))
    return { reason: 'ServicePortError', message: `${where} is not listening on port ${service?.port}` };
  if (message.startsWith('no endpoints'))
    return { reason: 'MissingEndpoints', message: `endpoints for ${where} have no addresses` };
  return { reason: 'FailedDiscoveryCheck', message: `failing or missing response from ${where}: ${message}` };
}

/** Writes the condition Available, if it says something new. */
export async function tellAvailability(
  registry: Registry,
  { metadata }: Readonly<APIService>,
  why: Why | undefined,
): Promise<void> {
  const next: Condition = why
    ? { type: 'Available', status: 'False', ...why }
    : { type: 'Available', status: 'True', reason: 'Passed', message: 'all checks passed' };
  try {
    await registry.update(APIService as Kind<never> as Kind, metadata.name!, 'server', serverWrites(self), (object) => {
      const service = object as APIService;
      const conditions = withCondition(service.status?.conditions, next, Date.now());
      if (conditions === service.status?.conditions) return service;
      return { ...service, status: { ...service.status, conditions: [...conditions] } };
    });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
