/** What may serve Services in the try-out. */
export type ProxyMode = 'userspace' | 'nftables' | 'iptables' | 'none';

/** Pods of the process runtime share our network; those of a CRI runtime have their own, which only rules reach. */
export const chosenProxy = (wanted: ProxyMode | 'auto', runtime: string): ProxyMode =>
  wanted === 'auto' ? (runtime === 'process' ? 'userspace' : 'nftables') : wanted;
