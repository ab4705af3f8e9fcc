/** Sets of completion indexes as a Job's status writes them: `0,3-5,7`. */
export function parseIndexes(text: string | undefined): Set<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? '').split(',').filter((one) => one !== '')) {
    const [from, to = from] = part.split('-').map(Number) as [number, number?];
    for (let i = from; i <= to; i++) indexes.add(i);
  }
  return indexes;
}

export function formatIndexes(indexes: Iterable<number>): string {
  const parts: string[] = [];
  let [from, to] = [NaN, NaN];
  const flush = () =>
    Number.isNaN(from) || parts.push(from === to ? `${from}` : `${from}${to === from + 1 ? ',' : '-'}${to}`);
  for (const index of [...indexes].sort((a, b) => a - b)) {
    if (index === to + 1) {
      to = index;
      continue;
    }
    flush();
    [from, to] = [index, index];
  }
  flush();
  return parts.join(',');
}
