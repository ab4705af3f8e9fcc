import type { Section } from './section.ts';

const objects = 'controllers/conformance-network.test.ts';
const modes = 'proxy/modes.test.ts';
const dns = 'cluster/cluster-dns.test.ts';
const names: [string, string] = [dns, 'names of the cluster, of Services, whole and in part, and of what is elsewhere'];
const podNames: [string, string] = [
  dns,
  'a pod with a hostname and a subdomain has a name, which its hosts file knows, too',
];
const reached: [string, string] = [dns, 'a pod is reached by another one and from the node: %s'];
const affinity: [string, string] = [modes, 'with affinity a client of %s stays, without it does not'];
const timeout: [string, string] = [modes, 'affinity to %s ends when a client has been away for its time'];
const types: [string, string] = [objects, 'Services should be able to change the type from %s to %s'];

export const network: Section = {
  covers: /^\[sig-network\]/,
  specs: {
    'DNS should provide /etc/hosts entries for the cluster': podNames,
    'DNS should provide DNS for ExternalName services': names,
    'DNS should provide DNS for pods for Hostname': podNames,
    'DNS should provide DNS for pods for Subdomain': podNames,
    'DNS should provide DNS for services': names,
    'DNS should provide DNS for the cluster': names,
    'DNS should resolve DNS of partial qualified names for services': names,
    'DNS should support configurable pod DNS nameservers': [
      'executor/isolation.suite.ts',
      'names: its hostname, its hosts file, its resolver',
    ],
    'EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service': objects,
    'EndpointSlice should create and delete Endpoints and EndpointSlices for a Service with a selector specified':
      objects,
    'EndpointSlice should have Endpoints and EndpointSlices pointing to API Server': objects,
    'EndpointSlice should support creating EndpointSlice API operations': objects,
    'EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete': objects,
    'Ingress API should support creating Ingress API operations': objects,
    'IngressClass API should support creating IngressClass API operations': objects,
    'Networking Granular Checks: Pods should function for intra-pod communication: http': reached,
    'Networking Granular Checks: Pods should function for intra-pod communication: udp': reached,
    'Networking Granular Checks: Pods should function for node-pod communication: http': reached,
    'Networking Granular Checks: Pods should function for node-pod communication: udp': reached,
    'Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath': [
      'apiserver/object-proxy.test.ts',
      'passes %s',
    ],
    'Proxy version v1 should proxy through a service and a pod': ['apiserver/object-proxy.test.ts', 'reaches %s'],
    'Service endpoints latency should not be very high': objects,
    'Services should be able to change the type from ClusterIP to ExternalName': types,
    'Services should be able to change the type from ExternalName to ClusterIP': types,
    'Services should be able to change the type from ExternalName to NodePort': types,
    'Services should be able to change the type from NodePort to ExternalName': types,
    'Services should be able to create a functioning NodePort service': [
      'cluster/services.suite.ts',
      'a Service answers on its address and its node port, from here and from pods; without pods it refuses',
    ],
    'Services should be able to switch session affinity for NodePort service': affinity,
    'Services should be able to switch session affinity for service with type clusterIP': affinity,
    'Services should complete a service status lifecycle': objects,
    'Services should delete a collection of services': objects,
    'Services should find a service from listing all namespaces': objects,
    'Services should have session affinity timeout work for NodePort service': timeout,
    'Services should have session affinity timeout work for service with type clusterIP': timeout,
    'Services should have session affinity work for NodePort service': affinity,
    'Services should have session affinity work for service with type clusterIP': affinity,
    'Services should provide secure master service': objects,
    'Services should serve a basic endpoint from pods': [
      'controllers/controllers.test.ts',
      'has the endpoints of its ready pods, in both forms',
    ],
    'Services should serve multiport endpoints from pods': objects,
    'Services should test the lifecycle of an Endpoint': objects,
  },
  limits: {
    'HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol':
      'two pods of one agent cannot have the same host port, whatever their addresses and',
  },
};
