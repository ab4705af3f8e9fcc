/** What may serve Services in the try-out. */
export type ProxyMode = 'userspace' | 'nftables' | 'iptables' | 'none';

/** Whether pods have a network of their own: those of the process and the mesos runtime share that of the machine. */
export const hasOwnNetwork = (runtime: string): boolean => runtime !== 'process' && runtime !== 'mesos';

/** Pods with a network of their own are reached by rules alone. */
export const chosenProxy = (wanted: ProxyMode | 'auto', runtime: string): ProxyMode =>
  wanted === 'auto' ? (hasOwnNetwork(runtime) ? 'nftables' : 'userspace') : wanted;
