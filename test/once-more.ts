import { jest } from '@jest/globals';

// CI machines are shared, and specs of whole clusters have deadlines: what fails there is tried once more. The first
// failure is printed, so that a test that needs this is seen and mended.
if (process.env.CI) jest.retryTimes(1, { logErrorsBeforeRetry: true });
