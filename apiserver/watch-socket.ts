import type { FrameSocket } from './frame-socket.ts';
import type { Sink } from './verbs/watch.ts';

/** A watch over a WebSocket: one event a frame. */
export function watchSink(frames: FrameSocket, signal: AbortSignal): Sink {
  const stop = () => frames.close(1001);
  signal.addEventListener('abort', stop, { once: true });
  frames.onClose(() => signal.removeEventListener('abort', stop));
  return {
    oneByOne: true,
    write: (bytes) => frames.write(bytes),
    get waiting() {
      return frames.waiting;
    },
    end: () => frames.close(1000),
  };
}
