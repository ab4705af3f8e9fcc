export { tolerates } from '../api/node-selection.ts';
