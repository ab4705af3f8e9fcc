import { equal } from '../../lib/equal.ts';
import type { Plan, ServicePort } from '../../proxy/rules.ts';
import type { WriterOptions } from '../../proxy/writer.ts';

/** What writers of tests are told. */
export const writerOptions: WriterOptions = {
  clusterCidr: ['10.99.0.0/24'],
  masqueradeAll: false,
  nodePortAddresses: [],
  masqueradeMark: 0x4000,
};

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
  localReady: [],
  healthCheckNodePort: 0,
  ...more,
});

/** What must change to come from one plan to another. */
export function changesBetween(before: Plan, after: Plan): Map<string, ServicePort | undefined> {
  const changes = new Map<string, ServicePort | undefined>();
  for (const key of before.keys()) if (!after.has(key)) changes.set(key, undefined);
  for (const [key, port] of after) if (!equal(before.get(key), port)) changes.set(key, port);
  return changes;
}

/** A line of nft's without the numbers of endpoints: which they are depends on what there was before. */
export const withoutNumbers = (line: string): string => line.replace(/^\d+ : (?=[\da-f])| offset \d+(?= map)/, '');
