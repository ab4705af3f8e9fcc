import { describe, expect, test } from '@jest/globals';
import { celError, compileCel } from '../../api/structural/cel.ts';

const many = Array.from({ length: 2_000 }, (_, i) => BigInt(i));

describe('an expression with loops in loops', () => {
  test('that would take minutes is cancelled, with the words of Kubernetes, and another one is evaluated after it', () => {
    const endless = compileCel('self.all(a, self.all(b, self.all(c, a + b + c >= 0)))');
    expect(() => endless({ self: many })).toThrow('operation cancelled: actual cost limit exceeded');
    expect(compileCel('self.all(a, self.exists(b, a == b))')({ self: many.slice(0, 20) })).toBe(true);
  });

  test('tells its own errors', () => {
    const broken = compileCel('self.map(a, a).filter(a, a.missing == 1)');
    let words = '';
    try {
      broken({ self: [{ there: 1 }] });
    } catch (error) {
      words = celError(error);
    }
    expect(words).toMatch(/^no such key: missing/);
  });
});
