/** One metric, in the form that Prometheus reads. */
export interface Family {
  name: string;
  help: string;
  type: 'counter' | 'gauge';
  samples: Iterable<Sample>;
}

export interface Sample {
  labels?: Record<string, string>;
  value: number;
  /** When it was so, ms since the epoch; as it is read, unless told. */
  at?: number;
}

export const textOf = (families: readonly Family[]): string =>
  families
    .map(({ name, help, type, samples }) =>
      [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${type}`,
        ...[...samples].map((sample) => line(name, sample)),
        '',
      ].join('\n'),
    )
    .join('');

function line(name: string, { labels = {}, value, at }: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}=${JSON.stringify(text)}`);
  const number = value === Infinity ? '+Inf' : value;
  return `${name}${pairs.length > 0 ? `{${pairs.join()}}` : ''} ${number}${at === undefined ? '' : ` ${Math.round(at)}`}`;
}
