/** Ctrl-C and SIGTERM as an AbortSignal, for commands that have something to put away; the second one ends the process. */
const running = new Set<AbortController>();

export function stopSignal(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(128 + (name === 'SIGINT' ? 2 : name === 'SIGTERM' ? 15 : 1));
    controller.abort(new Error(`stopped by ${name}`));
  };
  for (const name of names) process.on(name, onSignal);
  running.add(controller);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const name of names) process.off(name, onSignal);
      running.delete(controller);
    },
  };
}

/** Gives the signal for another reason. @returns whether anybody has something to put away */
export function stopRunning(reason: Error): boolean {
  for (const controller of running) controller.abort(reason);
  return running.size > 0;
}
