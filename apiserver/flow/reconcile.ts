import type { Kind } from '../../api/kind.ts';
import { FlowSchema } from '../../api/kinds/flow-schema.ts';
import { PriorityLevelConfiguration } from '../../api/kinds/priority-level-configuration.ts';
import type { Condition, KubeObject } from '../../api/meta.ts';
import { isAlreadyExists, unlessNotFound } from '../../api/status.ts';
import { equal } from '../../lib/equal.ts';
import { self } from '../auth/user.ts';
import { serverWrites } from '../call.ts';
import { withCondition } from '../conditions.ts';
import type { Registry } from '../registry.ts';
import { mandatoryLevels, mandatorySchemas, suggestedLevels, suggestedSchemas } from './defaults.ts';

const schemas = FlowSchema as Kind<never> as Kind;
const levels = PriorityLevelConfiguration as Kind<never> as Kind;
const autoupdate = 'apf.kubernetes.io/autoupdate-spec';
const options = { ...serverWrites(self), fieldManager: 'api-priority-and-fairness-config-producer-v1' };

type Configuration = KubeObject & { spec?: unknown };

/**
 * Makes the default objects where they are missing, gives the mandatory ones their spec back, the suggested ones where their
 * annotation lets us, and tells each FlowSchema whether its level is there.
 */
export async function reconcileFlowControl(registry: Registry): Promise<void> {
  for (const object of mandatoryLevels) await maintain(registry, levels, object, true);
  for (const object of suggestedLevels) await maintain(registry, levels, object, false);
  for (const object of mandatorySchemas) await maintain(registry, schemas, object, true);
  for (const object of suggestedSchemas) await maintain(registry, schemas, object, false);
  for (const { object } of registry.feed.cache(schemas).list()) await tellDangling(registry, object as FlowSchema);
}

async function maintain(registry: Registry, kind: Kind, wanted: Configuration, isMandatory: boolean): Promise<void> {
  const name = wanted.metadata.name!;
  const annotations = { [autoupdate]: 'true' };
  if (!registry.feed.cache(kind).get(name) && !(await registry.read(kind, name))) {
    const object = structuredClone({ ...wanted, metadata: { name, annotations } });
    return registry.create(kind, object, '', options).then(
      () => undefined,
      (error: unknown) => {
        // Another apiserver was quicker.
        if (!isAlreadyExists(error)) throw error;
      },
    );
  }
  const spec = structuredClone(wanted.spec);
  await change(registry, kind, name, 'main', (object: Configuration) => {
    const says = object.metadata.annotations?.[autoupdate];
    const isOurs = isMandatory || says === 'true' || (says === undefined && object.metadata.generation === 1);
    if (!isOurs || (says === 'true' && equal(object.spec, spec))) return object;
    const metadata = { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } };
    return { ...object, metadata, spec };
  });
}

async function tellDangling(registry: Registry, { metadata, spec }: FlowSchema): Promise<void> {
  const level = spec?.priorityLevelConfiguration.name ?? '';
  const names = `This FlowSchema references the PriorityLevelConfiguration object named "${level}"`;
  const next: Condition = registry.feed.cache(levels).get(level)
    ? { type: 'Dangling', status: 'False', reason: 'Found', message: `${names} and it exists` }
    : { type: 'Dangling', status: 'True', reason: 'NotFound', message: `${names} but there is no such object` };
  await change(registry, schemas, metadata.name!, 'server', (object: FlowSchema) => {
    const conditions = withCondition(object.status?.conditions, next, Date.now());
    return conditions === object.status?.conditions ? object : { ...object, status: { conditions: [...conditions] } };
  });
}

/** Asks the store only where there is something to change. What an administrator deletes meanwhile comes back in the next round. */
async function change<T extends KubeObject>(
  registry: Registry,
  kind: Kind,
  name: string,
  door: 'main' | 'server',
  to: (object: T) => T,
): Promise<void> {
  const known = registry.feed.cache(kind).get(name)?.object as T | undefined;
  if (known && to(known) === known) return;
  await registry.update(kind, name, door, options, (object) => to(object as T)).catch(unlessNotFound);
}
