import { gzipSync } from 'node:zlib';
import { Function as PprofFunction, Line, Location, Profile, Sample, StringTable, ValueType } from 'pprof-format';

/** One call on a stack. */
export interface Frame {
  functionName: string;
  url: string;
  /** From 0. */
  lineNumber: number;
}

/** How often, and how much, was seen under a stack. */
export interface Seen {
  /** The innermost call first. */
  stack: readonly Frame[];
  values: readonly number[];
}

/** The stacks of a profile in the form that `go tool pprof` reads: gzipped protobuf. */
export function pprof(
  types: readonly (readonly [type: string, unit: string])[],
  period: number,
  seen: Iterable<Seen>,
  { beganMs, endedMs }: { beganMs: number; endedMs: number },
): Buffer {
  const stringTable = new StringTable();
  const word = (text: string) => stringTable.dedup(text);
  const functions = new Map<string, PprofFunction>();
  const locations = new Map<string, Location>();
  const functionOf = ({ functionName, url }: Frame): PprofFunction => {
    const name = functionName || '(anonymous)';
    const key = `${name} ${url}`;
    const known = functions.get(key);
    if (known) return known;
    const made = new PprofFunction({
      id: functions.size + 1,
      name: word(name),
      systemName: word(name),
      filename: word(url),
    });
    functions.set(key, made);
    return made;
  };
  const locationOf = (frame: Frame): number => {
    const key = `${frame.functionName} ${frame.url}:${frame.lineNumber}`;
    const location =
      locations.get(key) ??
      new Location({
        id: locations.size + 1,
        line: [new Line({ functionId: functionOf(frame).id, line: frame.lineNumber + 1 })],
      });
    locations.set(key, location);
    return Number(location.id);
  };
  const sample = [...seen].map(
    ({ stack, values }) => new Sample({ locationId: stack.map(locationOf), value: [...values] }),
  );
  const valueTypes = types.map(([type, unit]) => new ValueType({ type: word(type), unit: word(unit) }));
  const profile = new Profile({
    sampleType: valueTypes,
    sample,
    location: [...locations.values()],
    function: [...functions.values()],
    stringTable,
    periodType: valueTypes.at(-1)!,
    period,
    timeNanos: BigInt(Math.round(beganMs)) * 1_000_000n,
    durationNanos: Math.round((endedMs - beganMs) * 1e6),
  });
  return gzipSync(profile.encode());
}
