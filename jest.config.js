import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Test files, and servers that specs start, executors on agents too, find the code compiled that the one before them loaded.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/km');
enableCompileCache(process.env.NODE_COMPILE_CACHE);

/** Node itself runs the sources and the tests: test/jest/runtime.ts says how. */
export default {
  testEnvironment: '<rootDir>/test/jest/environment.ts',
  runtime: '<rootDir>/test/jest/runtime.ts',
  testSequencer: '<rootDir>/test/jest/sequencer.ts',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: {},
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  testTimeout: 90_000,
};
