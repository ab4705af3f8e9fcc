import { isVerdict, stamped, type CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import { forbiddenField, invalid } from '../../api/field-error.ts';
import type { Condition, KubeObject } from '../../api/meta.ts';
import { bodyTypeOf, decodeBody } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import type { Json } from '../patch/json.ts';
import { checkPreconditions } from '../verbs/update.ts';
import { patcher } from '../verbs/patch.ts';
import { writeOptions } from '../write-options.ts';

/** PUT and PATCH of `certificatesigningrequests/<name>/approval`: of all but the metadata only conditions are taken over. */
export async function approve(registry: Registry, call: Call): Promise<Answer> {
  const { kind, name } = call;
  const change = changeOf(call);
  const entry = await registry.update(kind, keyIn(kind, '', name), 'server', writeOptions(call), (current) => {
    const wanted = change(current) as CertificateSigningRequest;
    checkPreconditions(wanted, current, kind);
    const { spec, status } = current as CertificateSigningRequest;
    const conditions = wanted.status?.conditions ?? [];
    const taken = (status?.conditions ?? []).filter((one) => isVerdict(one) && !conditions.some(sameAs(one)));
    if (taken.length > 0)
      throw invalid(
        kind,
        name,
        taken.map(({ type }) =>
          forbiddenField('status.conditions', `updates may not remove a condition of type "${type}"`),
        ),
      );
    const stampedOnes = stamped(conditions, current as CertificateSigningRequest);
    return { ...wanted, spec, status: { ...status, conditions: stampedOnes } } as CertificateSigningRequest;
  });
  return { code: 200, kind, entry };
}

const sameAs =
  (one: Condition) =>
  ({ type }: Condition): boolean =>
    type === one.type;

function changeOf(call: Call): (current: KubeObject) => KubeObject {
  if (call.method === 'PUT') {
    const { object } = decodeBody(call.contentType, call.body, bodyTypeOf(call.kind));
    return () => object;
  }
  const patch = patcher(call);
  return (current) => patch(structuredClone(current) as unknown as Json) as unknown as KubeObject;
}
