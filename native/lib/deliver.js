// Hands what the event loop brought, one by one, to a callback that may throw or close the source.

/** Stops when `isClosed()`. What `callback` throws becomes an uncaught exception; the others are still delivered. */
export function deliverEach(items, callback, isClosed) {
  for (const item of items) {
    if (isClosed()) return;
    try {
      callback(item);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
