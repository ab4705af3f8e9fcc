import { connectNative, loadNative } from './zookeeper-native.ts';
import { connectOwn } from './zookeeper-own.ts';
import type { ConnectZooKeeper } from './zookeeper.ts';

/** The native client where the `zookeeper` package is installed and loads under this Node, else our own. */
export async function chooseZooKeeper(): Promise<ConnectZooKeeper> {
  const native = await loadNative();
  return native ? connectNative(native) : connectOwn;
}
