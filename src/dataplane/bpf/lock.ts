/**
 * One agent for each directory: a socket in the kernel's abstract name space, which ends with its process however that
 * ends and leaves no file behind. It is seen within one network namespace, which is where a node's agents must be.
 */
import { createServer, type Server } from 'node:net';
import { resolve } from 'node:path';

/** Another agent has the directory. */
export class DirectoryInUseError extends Error {
  readonly code = 'DIRECTORY_IN_USE';
  constructor(directory: string, cause: unknown) {
    super(`another agent is running on ${directory}; stop it first, or give this one a directory of its own`, {
      cause,
    });
    this.name = 'DirectoryInUseError';
  }
}

export interface Lock {
  /** Idempotent. */
  release(): void;
}

/** @throws {DirectoryInUseError} */
export async function lockDirectory(directory: string): Promise<Lock> {
  const server = createServer((socket) => socket.destroy());
  try {
    await listen(server, `\0selvedge${resolve(directory)}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw new DirectoryInUseError(directory, error);
    throw error;
  }
  server.unref();
  return { release: () => void server.close() };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((listening, failed) => {
    server.once('error', failed);
    server.listen({ path, exclusive: true }, listening);
  });
}
