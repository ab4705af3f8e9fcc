import { bad, duplicate, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container, PodSpec } from './kinds/pod.ts';
import { isExtendedResource } from './extended-resources.ts';
import { checkQualifiedName } from './names.ts';
import { compareQuantities, isQuantity, quantity } from './quantity.ts';
import { each, mustBeOneOf } from './rules.ts';

const standard = ['cpu', 'memory', 'ephemeral-storage'];
const isHugePage = (name: string): boolean => name.startsWith('hugepages-');

/** What a node can promise more of than it has: not extended resources and huge pages. */
const isOvercommitAllowed = (name: string): boolean =>
  !isHugePage(name) && (!name.includes('/') || name.includes('kubernetes.io/'));

/** Rules on what a container asks for and may use. */
export function validateResources({ resources }: Container, at: string): FieldError[] {
  const { limits = {}, requests = {} } = resources ?? {};
  return [
    ...validateAmounts(limits, `${at}.resources.limits`),
    ...validateAmounts(requests, `${at}.resources.requests`),
    ...Object.entries(requests).flatMap(([name, request]) => againstLimit(name, request, limits[name], at)),
  ];
}

function againstLimit(name: string, request: string, limit: string | undefined, at: string): FieldError[] {
  const isFree = isOvercommitAllowed(name);
  if (limit === undefined)
    return isFree ? [] : [required(`${at}.resources.limits`, 'Limit must be set for non overcommitable resources')];
  const order = compareQuantities(request, limit);
  if (isFree ? order <= 0 : order === 0) return [];
  const rule = isFree ? 'less than or equal to' : 'equal to';
  return [bad(`${at}.resources.requests`, request, `must be ${rule} ${name} limit of ${limit}`)];
}

const validateAmounts = (amounts: Record<string, string>, at: string): FieldError[] =>
  Object.entries(amounts).flatMap(([name, amount]) => {
    const errors = checkQualifiedName(name).map((detail) => bad(at, name, detail));
    if (!standard.includes(name) && !isHugePage(name) && !name.includes('/'))
      errors.push(bad(at, name, 'must be a standard resource type or fully qualified'));
    if (!isQuantity(amount)) return errors;
    if (compareQuantities(amount, '0') < 0)
      errors.push(bad(`${at}[${name}]`, amount, 'must be greater than or equal to 0'));
    if (isExtendedResource(name) && !Number.isInteger(quantity(amount)))
      errors.push(bad(`${at}[${name}]`, amount, 'must be an integer'));
    return errors;
  });

/** Rules on what a change of resources needs. */
export function validateResizePolicy(
  { resizePolicy }: Container,
  { restartPolicy }: PodSpec,
  at: string,
): FieldError[] {
  const field = `${at}.resizePolicy`;
  const seen = new Set<string>();
  return each(resizePolicy, field, ({ resourceName, restartPolicy: needs }, one) => {
    const errors = seen.has(resourceName) ? [duplicate(one, resourceName)] : [];
    seen.add(resourceName);
    return [
      ...errors,
      ...mustBeOneOf(resourceName, ['cpu', 'memory'], field),
      ...mustBeOneOf(needs, ['NotRequired', 'RestartContainer'], field),
      ...(restartPolicy === 'Never' && needs === 'RestartContainer'
        ? [bad(field, needs, "must be 'NotRequired' when `restartPolicy` is 'Never'")]
        : []),
    ];
  });
}
