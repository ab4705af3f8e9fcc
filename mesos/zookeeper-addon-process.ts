/** The process that `zookeeper-native.ts` starts for one session: it answers over IPC and ends with the channel. */
import { connectAddon, loadAddon } from './zookeeper-addon.ts';
import type { Hello, Request, Told } from './zookeeper-native.ts';
import { ZooKeeperError, type ZooKeeper } from './zookeeper.ts';

const tell = (told: Told): void => void process.send?.(told, undefined, undefined, () => undefined);

/** Before the channel ends, the session does: its ephemeral nodes go at once. */
async function serve(hello: Hello): Promise<void> {
  const addon = await loadAddon();
  if (!addon) process.exit(1);
  const zk = connectAddon(addon)({
    ...hello,
    onState: (state) => tell({ state, sessionId: zk.sessionId }),
  });
  process.on('disconnect', () => void zk.close().finally(() => process.exit()));
  process.on('message', (request: Request) => void answer(zk, request));
}

async function answer(zk: ZooKeeper, { id, method, args, watch }: Request): Promise<void> {
  const call = zk[method] as (...args: unknown[]) => Promise<unknown>;
  // A watch may fire before its answer has gone out: it waits for it.
  const answered = Promise.withResolvers<void>();
  const onChange = () => void answered.promise.then(() => tell({ watch: id }));
  try {
    tell({ id, value: await call.apply(zk, watch ? [...args, onChange] : args) });
    answered.resolve();
  } catch (error) {
    const { number, what } = error instanceof ZooKeeperError ? error : new ZooKeeperError(-1, String(error));
    tell({ id, error: { number, what } });
  }
}

// Ctrl-C reaches the whole process group; the parent decides when the session ends.
process.on('SIGINT', () => undefined);
// What arrives while the addon loads waits for it: messages are only taken off once somebody listens.
process.once('message', (hello: Hello) => void serve(hello));
