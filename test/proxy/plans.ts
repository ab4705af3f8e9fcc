import type { ServicePort } from '../../proxy/rules.ts';

/** The Service web on 10.96.0.10:80, without endpoints unless told. */
export const servicePort = (more: Partial<ServicePort> = {}): ServicePort => ({
  key: 'default/web:/TCP',
  service: 'default/web',
  protocol: 'TCP',
  family: 4,
  clusterIP: '10.96.0.10',
  port: 80,
  nodePort: 0,
  externalIPs: [],
  loadBalancerIPs: [],
  sourceRanges: [],
  affinitySeconds: 0,
  internalLocal: false,
  externalLocal: false,
  cluster: [],
  local: [],
  healthCheckNodePort: 0,
  ...more,
});
