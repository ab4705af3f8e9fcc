/**
 * Runs `action` for each item, first one, then two, four, … at once: when the first ones are refused (a quota, say) the
 * rest is not tried. Throws the first error after the batch it happened in.
 */
export async function slowStart<T>(items: readonly T[], action: (item: T) => Promise<unknown>): Promise<void> {
  for (let at = 0, size = 1; at < items.length; at += size, size = Math.min(size * 2, 64)) {
    const results = await Promise.allSettled(items.slice(at, at + size).map(action));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }
}
