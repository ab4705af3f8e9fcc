import { bad, duplicate, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { PodSpec } from './kinds/pod.ts';
import { checkDnsLabel, checkDnsSubdomain } from './names.ts';
import { each, mustBeNamed, named } from './rules.ts';

type Claim = NonNullable<PodSpec['resourceClaims']>[number];

/** Rules on the claims of devices that a pod names, and on what its containers take of them. */
export function validatePodClaims(spec: PodSpec, at: string): FieldError[] {
  const claims = spec.resourceClaims ?? [];
  const names = claims.map(({ name }) => name);
  const containers = { containers: spec.containers, initContainers: spec.initContainers };
  return [
    ...each(claims, `${at}.resourceClaims`, validateClaim),
    ...repeated(names, (i) => `${at}.resourceClaims[${i}].name`),
    ...Object.entries(containers).flatMap(([list, all]) =>
      each(all, `${at}.${list}`, ({ resources }, field) => {
        const uses = resources?.claims ?? [];
        const of = `${field}.resources.claims`;
        return [
          ...each(uses, of, ({ name }, use) => {
            if (!name) return [required(`${use}.name`)];
            return names.includes(name) ? [] : [{ type: 'NotFound', field: use, value: name, detail: '' }];
          }),
          ...repeated(
            uses.map(({ name, request }) => (request ? `${name}/${request}` : name)),
            (i) => `${of}[${i}]`,
          ),
        ];
      }),
    ),
  ];
}

const repeated = (names: readonly string[], field: (i: number) => string): FieldError[] =>
  names.flatMap((name, i) => (names.indexOf(name) === i ? [] : [duplicate(field(i), name)]));

function validateClaim({ name, resourceClaimName: claim, resourceClaimTemplateName: template }: Claim, at: string) {
  const names = '`resourceClaimName`, `resourceClaimTemplateName`';
  const given = { resourceClaimName: claim, resourceClaimTemplateName: template };
  return [
    ...mustBeNamed(name, checkDnsLabel, `${at}.name`),
    ...(claim !== undefined && template !== undefined
      ? [bad(at, given, `at most one of ${names} may be specified`)]
      : claim === undefined && template === undefined
        ? [bad(at, given, `must specify one of: ${names}`)]
        : []),
    ...named(claim, checkDnsSubdomain, `${at}.resourceClaimName`),
    ...named(template, checkDnsSubdomain, `${at}.resourceClaimTemplateName`),
  ];
}
