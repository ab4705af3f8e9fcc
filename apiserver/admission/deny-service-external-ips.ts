import type { Service } from '../../api/kinds/service.ts';
import type { AdmissionRule } from './order.ts';
import { refusal, writes } from './requests.ts';

const ipsOf = (service: unknown): string[] => (service as Service | undefined)?.spec?.externalIPs ?? [];

/** No service takes addresses that it was not given; those it has it keeps. */
export const denyServiceExternalIps: AdmissionRule = {
  name: 'DenyServiceExternalIPs',
  validate: (request) => {
    if (!writes(request, 'services')) return;
    const before = ipsOf(request.old);
    if (ipsOf(request.object).some((ip) => !before.includes(ip)))
      throw refusal(request, 'Use of external IPs is denied by admission control.');
  },
};
