import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ValidatingAdmissionPolicy } from '../../api/kinds/validating-admission-policy.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (c = await startControllers({ controllers: ['validating-policy-status'] })));
afterAll(() => c.stop());

type Spec = ValidatingAdmissionPolicy['spec'];
const about = (resources: string[], apiGroups = ['apps']): Spec => ({
  matchConstraints: { resourceRules: [{ operations: ['*'], apiGroups, apiVersions: ['v1'], resources }] },
});
let serial = 0;
async function checked(spec: Spec): Promise<ValidatingAdmissionPolicy['status']> {
  const name = `policy-${(serial += 1)}`;
  await c.client.create(ValidatingAdmissionPolicy, { metadata: { name }, spec });
  let status: ValidatingAdmissionPolicy['status'];
  await eventually(async () => {
    ({ status } = await c.client.get(ValidatingAdmissionPolicy, { name }));
    expect(status?.typeChecking).toBeDefined();
  });
  expect(status!.observedGeneration).toBe(1);
  return status;
}
const warnings = async (spec: Spec) =>
  ((await checked(spec))!.typeChecking!.expressionWarnings ?? []).map(({ fieldRef, warning }) => [fieldRef, warning]);

// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
test('a policy is told what the types of the objects that it names say against its expressions', async () => {
  const validations = [{ expression: 'object.replicas > 1' }];
  const problem = "ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^\n";
  expect(await warnings({ ...about(['deployments']), validations })).toEqual([
    ['spec.validations[0].expression', `apps/v1, Kind=Deployment: ${problem}`],
  ]);
  expect(await warnings({ ...about(['replicasets', 'deployments']), validations })).toEqual([
    ['spec.validations[0].expression', `apps/v1, Kind=Deployment: ${problem}\napps/v1, Kind=ReplicaSet: ${problem}`],
  ]);
});

test('a policy without such a problem has an empty result, and its variables and params have types, too', async () => {
  const right: Spec = {
    ...about(['deployments']),
    paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
    variables: [{ name: 'containers', expression: 'object.spec.template.spec.containers' }],
    validations: [
      {
        expression:
          "variables.containers.all(c, !has(c.securityContext) || c.image.startsWith(params.data['registry'])) && object.spec.replicas < 5",
        messageExpression: "object.metadata.name + ' is of ' + request.userInfo.username",
      },
      {
        expression:
          "object.spec.strategy.rollingUpdate.maxSurge == '25%' && object.metadata.labels.exists(k, k == 'a')",
      },
    ],
  };
  expect(await checked(right)).toEqual({ observedGeneration: 1, typeChecking: {} });
  const wrong = { ...right, validations: [{ expression: 'variables.containers.all(c, c.imag == params.dat)' }] };
  expect((await warnings(wrong)).join()).toContain("undefined field 'imag'");
  const anything = { ...about(['*'], ['*']), validations: [{ expression: 'object.anything' }] };
  expect(await warnings(anything)).toEqual([]);
});

test('a policy that changes is looked at again', async () => {
  const validations = [{ expression: 'object.data.a == 1' }];
  expect((await warnings({ ...about(['configmaps'], ['']), validations })).join()).toContain(
    "/v1, Kind=ConfigMap: ERROR: <input>:1:15: found no matching overload for '_==_' applied to '(string, int)'",
  );
  const name = `policy-${serial}`;
  await c.client.patch(
    ValidatingAdmissionPolicy,
    { name },
    { spec: { validations: [{ expression: "object.data.a == '1'" }] } },
  );
  await eventually(async () =>
    expect((await c.client.get(ValidatingAdmissionPolicy, { name })).status).toEqual({
      observedGeneration: 2,
      typeChecking: {},
    }),
  );
});
