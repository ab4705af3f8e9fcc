import { connectNative, loadNative } from './zookeeper-native.ts';
import { connectOwn } from './zookeeper-own.ts';
import type { ConnectZooKeeper } from './zookeeper.ts';

export type ZooKeeperClient = 'own' | 'native';

/**
 * Our own client unless the `zookeeper` package is asked for and loads under this Node. The package comes second because
 * after a failover of an ensemble further native clients of the same process failed to connect (seen with 7.3.0, Node 24).
 */
export async function chooseZooKeeper(preferred: ZooKeeperClient = 'own'): Promise<ConnectZooKeeper> {
  const native = preferred === 'native' ? await loadNative() : undefined;
  return native ? connectNative(native) : connectOwn;
}
