/** Newest format that this version writes and reads (design D7). */
export const formatVersionMax = 1;
