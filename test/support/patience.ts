/** Milliseconds that a test waits for what must come: an upper bound, which only a failing test takes, for a loaded machine. */
export const PATIENCE = 40_000;
