import { globalsOfFile } from './runtime.ts';

/** What a test file imports as @jest/globals. */
export const { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest, test } = globalsOfFile();
