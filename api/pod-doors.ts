import { equal } from '../lib/equal.ts';
import { bad, forbiddenField } from './field-error.ts';
import type { FieldError, NarrowDoor } from './kind.ts';
import type { Container, Pod, PodSpec } from './kinds/pod.ts';
import { qosClass } from './qos-class.ts';

/** `pods/ephemeralcontainers`: containers may be added to a running pod, never changed or taken away. */
export const ephemeralContainers: NarrowDoor<Pod> = {
  prepare: (pod, old) => {
    const { ephemeralContainers: added } = pod.spec ?? {};
    restore(pod, old);
    if (added?.length) pod.spec.ephemeralContainers = added;
    else delete pod.spec.ephemeralContainers;
  },
  validate: (pod, old) => {
    const given = pod.spec.ephemeralContainers ?? [];
    return (old.spec.ephemeralContainers ?? []).flatMap((before) => {
      const after = given.findIndex(({ name }) => name === before.name);
      if (after < 0) return [forbiddenField('spec.ephemeralContainers', removed(before))];
      return equal(given[after], before) ? [] : [forbiddenField('spec.ephemeralContainers', changed(before))];
    });
  },
};

const removed = ({ name }: Container): string =>
  `existing ephemeral containers ${JSON.stringify(name)} may not be removed\n`;
const changed = ({ name }: Container): string =>
  `existing ephemeral containers ${JSON.stringify(name)} may not be changed\n`;

/** `pods/resize`: cpu and memory of running containers. */
export const resize: NarrowDoor<Pod> = {
  prepare: (pod, old) => {
    const wanted = pod.spec;
    restore(pod, old);
    for (const list of ['containers', 'initContainers'] as const)
      for (const container of pod.spec[list] ?? []) take(container, wanted?.[list]);
  },
  validate: (pod, old) => [
    ...(pod.spec.containers ?? []).flatMap((container, i) =>
      resizeErrors(container, old.spec.containers[i], `spec.containers[${i}].resources`),
    ),
    ...(sameQos(pod, old)
      ? []
      : [bad('spec', pod.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing')]),
  ],
};

function restore(pod: Pod, old: Readonly<Pod>): void {
  pod.spec = structuredClone(old.spec) as PodSpec;
  if (old.status) pod.status = structuredClone(old.status);
}

function take(container: Container, wanted: readonly Container[] | undefined): void {
  const given = wanted?.find(({ name }) => name === container.name);
  if (!given) return;
  if (given.resources) container.resources = given.resources;
  if (given.resizePolicy) container.resizePolicy = given.resizePolicy;
}

const resizable = ['cpu', 'memory'];

function resizeErrors(container: Container, old: Container | undefined, at: string): FieldError[] {
  return (['limits', 'requests'] as const).flatMap((part) => {
    const before = old?.resources?.[part] ?? {};
    const after = container.resources?.[part] ?? {};
    const errors: FieldError[] = [];
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (!resizable.includes(name) && before[name] !== after[name])
        errors.push(forbiddenField(at, 'only cpu and memory resources are mutable'));
      if (resizable.includes(name) && before[name] !== undefined && after[name] === undefined)
        errors.push(forbiddenField(`${at}.${part}`, `resource ${part} cannot be removed`));
    }
    return errors;
  });
}

const sameQos = (pod: Pod, old: Pod): boolean => qosClass(pod.spec) === qosClass(old.spec);
