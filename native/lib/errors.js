// The two kinds of errors of this package; everything that the kernel refuses is a BpfError.

export class BpfError extends Error {
  constructor({ code, errno, text, syscall, object, log }) {
    super(`${syscall} ${object}: ${text} (${code})${log ? `\n${lastLines(log)}` : ''}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    if (log) this.log = log;
  }
}
Object.defineProperty(BpfError.prototype, 'name', { value: 'BpfError', configurable: true });

export class ClosedError extends Error {
  constructor(what) {
    super(`${what} is closed`);
    this.code = 'ERR_CLOSED';
  }
}
Object.defineProperty(ClosedError.prototype, 'name', { value: 'ClosedError', configurable: true });

// The end of a verifier's log is where it says what is wrong; the whole of it can be a megabyte.
function lastLines(log) {
  const lines = log.trimEnd().split('\n');
  return lines.slice(-12).join('\n');
}
