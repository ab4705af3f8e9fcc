/** Offer constraints: for each role, which agents a framework wants to be offered at all. */
import type { AttributeConstraint, OfferConstraints } from '../mesos/scheduler.ts';
import type { AgentInfo } from '../mesos/types.ts';

/** Whether the agent may be offered for the role: some group holds, all of it. */
export function satisfies(constraints: OfferConstraints | undefined, role: string, agent: AgentInfo): boolean {
  const groups = constraints?.role_constraints?.[role]?.groups;
  return groups?.some((group) => (group.attribute_constraints ?? []).every((one) => holds(one, agent))) ?? true;
}

function holds({ selector, predicate }: AttributeConstraint, agent: AgentInfo): boolean {
  const found = select(selector, agent);
  if (predicate.exists) return found !== undefined;
  if (predicate.not_exists) return found === undefined;
  // Of an attribute that is no text Mesos claims everything; the framework has to look itself.
  const isText = found?.text !== undefined;
  if (found !== undefined && !isText) return true;
  const { text_equals, text_not_equals, text_matches, text_not_matches } = predicate;
  if (text_equals) return found?.text === text_equals.value;
  if (text_not_equals) return found?.text !== text_not_equals.value;
  if (text_matches) return isText && whole(text_matches.regex).test(found.text!);
  if (text_not_matches) return !isText || !whole(text_not_matches.regex).test(found.text!);
  return true;
}

/** Of several attributes with one name only the first counts. */
function select(
  { attribute_name, pseudoattribute_type }: AttributeConstraint['selector'],
  agent: AgentInfo,
): { text: string | undefined } | undefined {
  if (attribute_name !== undefined) {
    const attribute = agent.attributes?.find(({ name }) => name === attribute_name);
    return attribute && { text: attribute.text?.value };
  }
  const place = agent.domain?.fault_domain;
  const text =
    pseudoattribute_type === 'HOSTNAME'
      ? agent.hostname
      : pseudoattribute_type === 'REGION'
        ? place?.region.name
        : place?.zone.name;
  return text === undefined ? undefined : { text };
}

const whole = (regex: string): RegExp => new RegExp(`^(?:${regex})$`);

/** What Mesos says of constraints that cannot be, or undefined. */
export function constraintsError(constraints: OfferConstraints | undefined): string | undefined {
  for (const [role, { groups = [] }] of Object.entries(constraints?.role_constraints ?? {})) {
    if (groups.length === 0)
      return `Offer constraints are not valid: 'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role ${role}`;
    for (const constraint of groups.flatMap((group) => group.attribute_constraints ?? [])) {
      const error = constraintError(constraint);
      if (error !== undefined)
        return `Offer constraints are not valid: A role ${role} has an invalid 'AttributeConstraint': ${error}`;
    }
  }
  return undefined;
}

function constraintError({ selector, predicate }: AttributeConstraint): string | undefined {
  if (selector?.attribute_name === undefined && selector?.pseudoattribute_type === undefined)
    return "Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set";
  const pattern = predicate?.text_matches?.regex ?? predicate?.text_not_matches?.regex;
  const error = pattern === undefined ? undefined : regexError(pattern);
  return error === undefined ? undefined : `Failed to construct regex from pattern '${pattern}': ${error}`;
}

function regexError(pattern: string): string | undefined {
  try {
    new RegExp(pattern);
    return undefined;
  } catch {
    const open = [...pattern].filter((c) => c === '(').length > [...pattern].filter((c) => c === ')').length;
    return open ? `missing ): ${pattern}` : `invalid pattern: ${pattern}`;
  }
}
