/** Waits, milliseconds. Unlike k6's sleep it lets streams be heard meanwhile. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
