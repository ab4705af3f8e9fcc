import type { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import type { Service } from '../api/kinds/service.ts';
import type { Stored } from '../api/meta.ts';
import type { Informer } from '../client/informer.ts';

/** One endpoint of a Service, with the ports of its slice. */
export interface Endpoint {
  /** `web-0` where the pod has a hostname, else its address with dashes. */
  label: string;
  address: string;
  ports: readonly { name: string; port: number; protocol: string }[];
}

const byService = 'dns/service';
const byAddress = 'dns/address';

/** What the cluster says of names and addresses, found without walking everything. */
export class Records {
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;

  constructor(services: Informer<Service>, slices: Informer<EndpointSlice>) {
    this.#services = services;
    this.#slices = slices;
    services.addIndexes({ [byAddress]: (service) => addressesOf(service) });
    slices.addIndexes({
      [byService]: (slice) => [
        `${slice.metadata.namespace}/${slice.metadata.labels?.['kubernetes.io/service-name'] ?? ''}`,
      ],
      [byAddress]: ({ endpoints }) => endpoints.flatMap(({ addresses }) => addresses),
    });
  }

  service(namespace: string, name: string): (Service & Stored) | undefined {
    return this.#services.get(`${namespace}/${name}`);
  }

  /** Whether any Service lies in the namespace: its name then exists, though it has no records. */
  hasNamespace(namespace: string): boolean {
    for (const { metadata } of this.#services.list()) if (metadata.namespace === namespace) return true;
    return false;
  }

  /** Ready endpoints, in an order that does not change while they do not. */
  endpoints(namespace: string, name: string): Endpoint[] {
    return this.#slices.by(byService, `${namespace}/${name}`).flatMap(endpointsOf);
  }

  serviceAt(address: string): (Service & Stored) | undefined {
    return this.#services.by(byAddress, address)[0];
  }

  /** The named endpoints at an address: those whose name somebody chose. */
  endpointsAt(address: string): { namespace: string; service: string; hostname: string }[] {
    return this.#slices.by(byAddress, address).flatMap(({ metadata, endpoints }) =>
      endpoints
        .filter(({ addresses, hostname }) => hostname && addresses.includes(address))
        .map(({ hostname }) => ({
          namespace: metadata.namespace!,
          service: metadata.labels?.['kubernetes.io/service-name'] ?? '',
          hostname: hostname!,
        })),
    );
  }
}

/** Cluster addresses of a Service; a headless one has none. */
export function addressesOf({ spec }: Service): string[] {
  const all = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
  return all.filter((address) => address !== 'None' && address !== '');
}

function endpointsOf({ endpoints, ports }: EndpointSlice): Endpoint[] {
  const named = (ports ?? []).map(({ name = '', port = 0, protocol = 'TCP' }) => ({ name, port, protocol }));
  return endpoints
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses, hostname }) =>
      addresses.map((address) => ({ label: hostname || labelOf(address), address, ports: named })),
    );
}

/** `10.1.2.3` → `10-1-2-3`, `fd00::1` → `fd00--1`. */
export const labelOf = (address: string): string => address.replaceAll(/[.:]/g, '-');
