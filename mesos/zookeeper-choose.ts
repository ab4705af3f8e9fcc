import { findNative } from './zookeeper-native.ts';
import { connectOwn } from './zookeeper-own.ts';
import type { ConnectZooKeeper } from './zookeeper.ts';

export type ZooKeeperClient = 'own' | 'native';

/** The `zookeeper` package where it loads under this Node, our own client elsewhere or when that is asked for. */
export async function chooseZooKeeper(preferred: ZooKeeperClient = 'native'): Promise<ConnectZooKeeper> {
  return (preferred === 'native' && (await findNative())) || connectOwn;
}
