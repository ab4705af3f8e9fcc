import { isIPv4 } from 'node:net';
import { formatAddress, parseCidr } from '../api/cidr.ts';
import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Service } from '../api/kinds/service.ts';
import { Client } from '../client/client.ts';
import { readKubeconfig } from '../client/kubeconfig.ts';

/** The tenth address of Services, where clusters usually have their DNS. Throws an Error for what is no range. */
export function dnsAddress(serviceCidr: string): string {
  const range = parseCidr(serviceCidr.split(',')[0]!);
  if (!range) throw new Error(`--service-cidr ${serviceCidr} is no range of addresses such as 10.96.0.0/12`);
  return formatAddress({ family: range.family, value: range.base + 10n });
}

/** What an earlier try-out wrote is ours to change. */
const as = { fieldManager: 'km-up', force: true };

const metadata = (name: string, labels: Record<string, string>) => ({ namespace: 'kube-system', name, labels });

/** Makes the Service `kube-dns` lead to a server of names at `address`:`port`, with the kubeconfig of an administrator. */
export async function publishDns(kubeconfig: string, clusterIP: string, address: string, port: number): Promise<void> {
  const client = new Client({ ...readKubeconfig(kubeconfig), userAgent: 'km-up' });
  const ports = [
    { name: 'dns', protocol: 'UDP' as const, port },
    { name: 'dns-tcp', protocol: 'TCP' as const, port },
  ];
  try {
    await client.apply(
      Service,
      {
        metadata: metadata('kube-dns', { 'k8s-app': 'kube-dns', 'kubernetes.io/name': 'CoreDNS' }),
        spec: { clusterIP, ports: ports.map((one) => ({ ...one, port: 53, targetPort: port })) },
      },
      as,
    );
    await client.apply(
      EndpointSlice,
      {
        metadata: metadata('kube-dns-km-up', {
          'kubernetes.io/service-name': 'kube-dns',
          'endpointslice.kubernetes.io/managed-by': 'km-up',
        }),
        addressType: isIPv4(address) ? 'IPv4' : 'IPv6',
        endpoints: [{ addresses: [address], conditions: { ready: true } }],
        ports,
      },
      as,
    );
  } finally {
    await client.close();
  }
}
