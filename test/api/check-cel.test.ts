import { describe, expect, test } from '@jest/globals';
import { admissionNames, checkCel } from '../../api/structural/check-cel.ts';
import { checkSchema } from '../../api/structural/check-schema.ts';
import { validateByRules } from '../../api/structural/rules.ts';
import type { StructuralSchema, ValidationRule } from '../../api/structural/schema.ts';

const text: StructuralSchema = { type: 'string' };
const spec = (...rules: ValidationRule[]): StructuralSchema => ({
  type: 'object',
  properties: {
    count: { type: 'integer' },
    share: { type: 'number' },
    name: text,
    'x-y': text,
    wait: { type: 'string', format: 'duration' },
    since: { type: 'string', format: 'date-time' },
    tags: { type: 'array', items: text },
    parts: { type: 'array', items: { type: 'object', properties: { name: text, size: { type: 'number' } } } },
    limits: { type: 'object', additionalProperties: { type: 'integer' } },
    port: { 'x-kubernetes-int-or-string': true },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    inner: { type: 'object', properties: { name: text } },
    maybe: { type: 'string', nullable: true },
  },
  'x-kubernetes-validations': rules,
});
const problemsOf = (schema: StructuralSchema): string[] =>
  checkSchema(schema, 'schema').map(({ field, detail }) => `${field}: ${detail}`);
const inSpec = (rule: string): string[] => problemsOf({ type: 'object', properties: { spec: spec({ rule }) } });
const at = 'schema.properties[spec].x-kubernetes-validations[0].rule: ';

// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
describe('rules of a schema', () => {
  test.each([
    'self.count >= 1.5 && self.share > 1 && self.count in [1, 2]',
    "self.name.startsWith('a') || self.x__dash__y == 'b' || self.maybe == null",
    "self.wait > duration('1h') && self.since < timestamp('2024-01-01T00:00:00Z')",
    "self.tags.all(t, t in oldSelf.tags) && self.tags == ['a'] && self.tags.isSorted()",
    "self.parts.filter(p, p.size > 1.0).map(p, p.name).exists(n, n == 'a') || self.parts == []",
    "self.limits.all(k, self.limits[k] > 0) && 'cpu' in self.limits && self.limits.all(k, v, v > 0)",
    "self.port == 80 || self.port == 'http' || self.free.any.thing == 1",
    'self == oldSelf || self.inner == oldSelf.inner || (self.inner != null && has(self.inner.name))',
    "self.?inner.?name.orValue('') == '' && cel.bind(n, self.name, n.size() < 3)",
  ])('%s can be checked', (rule) => {
    expect(inSpec(rule)).toEqual([]);
  });

  test.each([
    ['self.nope == 1', "undefined field 'nope'"],
    ['self.parts.all(p, p.nope)', "undefined field 'nope'"],
    ['other == 1', "undeclared reference to 'other' (in container '')"],
    ['fits(self.name)', "undeclared reference to 'fits' (in container '')"],
    ["self.name + 1 == 'x'", "found no matching overload for '_+_' applied to '(string, int)'"],
    ["self.count.startsWith('x')", "found no matching overload for 'startsWith' applied to 'int.(string)'"],
    ["self.name.matches('(')", 'error parsing regexp: missing closing ): `(`'],
    ['self.count ==', 'Syntax error: Unexpected token: EOF'],
  ])('%s is refused', (rule, words) => {
    const [problem] = inSpec(rule);
    expect(problem).toContain(`${at}compilation failed: ERROR: <input>:1:`);
    expect(problem).toContain(words);
  });

  test('point at the place', () => {
    expect(inSpec('self.count > 0 &&\nself.nope')).toEqual([
      `${at}compilation failed: ERROR: <input>:2:5: undefined field 'nope'\n | self.nope\n | ....^`,
    ]);
  });

  test('must be about true and false, and their messages texts', () => {
    expect(inSpec('self.tags.size()')).toEqual([`${at}cel expression must evaluate to a bool`]);
    const properties = { spec: spec({ rule: 'true', messageExpression: 'self.count' }) };
    expect(problemsOf({ type: 'object', properties })[0]).toMatch(/messageExpression must evaluate to a string$/);
  });

  test('of whole objects know kind and names, and no other metadata', () => {
    const root = (rule: string) =>
      problemsOf({ type: 'object', properties: { spec: spec() }, 'x-kubernetes-validations': [{ rule }] });
    expect(root("self.kind == 'A' && self.metadata.name != self.spec.name")).toEqual([]);
    expect(root("self.metadata.labels['a'] == 'b'")[0]).toContain("undefined field 'labels'");
  });

  test('with optionalOldSelf hold for new objects, too, and ask whether there was an old one', () => {
    const rule = {
      rule: 'oldSelf.hasValue() ? self.count >= oldSelf.value().count : self.count == 1',
      optionalOldSelf: true,
    };
    const schema = spec(rule);
    expect(problemsOf({ type: 'object', properties: { spec: schema } })).toEqual([]);
    const broken = (value: object, old?: object) => validateByRules(value, old, schema, 'spec').length;
    expect([broken({ count: 1 }), broken({ count: 2 }), broken({ count: 2 }, { count: 1 })]).toEqual([0, 1, 0]);
    expect(broken({ count: 0 }, { count: 1 })).toBe(1);
  });

  test('see durations and bytes as what they are', () => {
    const properties = {
      wait: { type: 'string', format: 'duration' },
      key: { type: 'string', format: 'byte' },
    } as const;
    const rule = "self.wait < duration('1h') && self.key == b'abc'";
    const schema: StructuralSchema = { type: 'object', properties, 'x-kubernetes-validations': [{ rule }] };
    expect(validateByRules({ wait: '90s', key: 'YWJj' }, undefined, schema, '')).toEqual([]);
    expect(validateByRules({ wait: '61m', key: 'YWJj' }, undefined, schema, '')).toHaveLength(1);
  });
});

// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#validation-expression
describe('expressions about requests', () => {
  const problem = (expression: string, ...given: Parameters<typeof admissionNames>) =>
    checkCel(expression, 'at', admissionNames(...given), ['bool'])[0]?.detail;

  test.each([
    "request.operation in ['CREATE'] && request.userInfo.groups.exists(g, g == 'a')",
    "has(object.spec.x) && oldObject == null && namespaceObject.metadata.name == 'a'",
    "authorizer.group('').resource('pods').check('get').allowed() && authorizer.requestResource.check('x').errored()",
    'object.anything',
  ])('%s can be checked', (expression) => {
    expect(problem(expression)).toBeUndefined();
  });

  test('name only what there is', () => {
    expect(problem('request.nope')).toContain("undefined field 'nope'");
    expect(problem('params.a')).toContain("undeclared reference to 'params'");
    expect(problem('params.a', { hasParams: true })).toBeUndefined();
    expect(problem('variables.a && variables.b', { variables: { a: 'dyn' } })).toContain("undefined field 'b'");
    expect(problem("'a'")).toBe('must evaluate to bool');
  });
});
