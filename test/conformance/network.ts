import type { Section } from './section.ts';

const objects = 'controllers/conformance-network.test.ts';

export const network: Section = {
  covers: /^\[sig-network\] (EndpointSlice|Ingress)/,
  specs: {
    'EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service': objects,
    'EndpointSlice should create and delete Endpoints and EndpointSlices for a Service with a selector specified':
      objects,
    'EndpointSlice should have Endpoints and EndpointSlices pointing to API Server': objects,
    'EndpointSlice should support creating EndpointSlice API operations': objects,
    'EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete': objects,
    'Ingress API should support creating Ingress API operations': objects,
    'IngressClass API should support creating IngressClass API operations': objects,
  },
};
