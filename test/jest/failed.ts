/** Whether a test or a hook of the test file that runs has failed; modules of this folder are loaded once, so all see the same. */
export const outcome = { hasFailed: false };
