import { isVerdict, stamped, type CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import type { KubeObject } from '../../api/meta.ts';
import { bodyTypeOf, decodeBody } from '../body.ts';
import { keyIn, writeOptions, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import type { Json } from '../patch/json.ts';
import { checkPreconditions } from '../verbs/update.ts';
import { patcher } from '../verbs/patch.ts';

/** PUT and PATCH of `certificatesigningrequests/<name>/approval`: only what says Approved or Denied is taken over. */
export async function approve(registry: Registry, call: Call): Promise<Answer> {
  const { kind, name } = call;
  const change = changeOf(call);
  const entry = await registry.update(kind, keyIn(kind, '', name), 'server', writeOptions(call), (current) => {
    const wanted = change(current) as CertificateSigningRequest;
    checkPreconditions(wanted, current, kind);
    const request = current as CertificateSigningRequest;
    const others = (request.status?.conditions ?? []).filter((condition) => !isVerdict(condition));
    const verdicts = (wanted.status?.conditions ?? []).filter(isVerdict);
    const before = structuredClone(request);
    request.status = { ...request.status, conditions: stamped([...others, ...verdicts], before) };
    return request;
  });
  return { code: 200, kind, entry };
}

function changeOf(call: Call): (current: KubeObject) => KubeObject {
  if (call.method === 'PUT') {
    const { object } = decodeBody(call.contentType, call.body, bodyTypeOf(call.kind));
    return () => object;
  }
  const patch = patcher(call);
  return (current) => patch(structuredClone(current) as unknown as Json) as unknown as KubeObject;
}
