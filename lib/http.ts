/**
 * What servers and clients of ours use of Node's HTTP, and not by `import`: that reads every export, also those for which Node
 * loads a fetch and a WebSocket of its own, a twelfth of the processor time of a small server's start.
 */
export const { createServer, request } = process.getBuiltinModule('node:http');
