/**
 * The broker compresses with what the client is built of: it was measured to beat the native packages for Node, and one
 * implementation leaves no batch that one side reads and the other does not.
 */
export { createCompression } from '../../clients/typescript/src/compression.ts';
