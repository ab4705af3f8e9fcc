import type { Environment } from '@marcbachmann/cel-js';
import { define } from './define.ts';
import { dateText } from './texts.ts';

/** Conversions of times that the library lacks: https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions */
export function times(environment: Environment): void {
  const [time, duration] = ['google.protobuf.Timestamp', 'google.protobuf.Duration'];
  define(environment, {
    [`string(${time}): string`]: dateText,
    [`int(${time}): int`]: (date: Date) => BigInt(Math.floor(date.getTime() / 1000)),
    [`timestamp(${time}): ${time}`]: (date: Date) => date,
    [`string(${duration}): string`]: String,
    [`duration(${duration}): ${duration}`]: (one: unknown) => one,
  });
}
