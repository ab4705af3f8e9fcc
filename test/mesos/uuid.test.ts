import { describe, expect, test } from '@jest/globals';
import { newUuid } from '../../mesos/uuid.ts';

describe('a uuid of an update', () => {
  test('is 16 bytes with the version that Mesos demands', () => {
    for (let i = 0; i < 100; i++) {
      const uuid = newUuid();
      expect(uuid).toHaveLength(16);
      expect(uuid[6]! >> 4).toBe(4);
      expect(uuid[8]! >> 6).toBe(2);
    }
  });
});
