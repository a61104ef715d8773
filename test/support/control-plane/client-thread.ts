/** The thread of a client: requests come as messages and are answered by messages. */
import http from 'node:http';
import https from 'node:https';
import { parentPort, workerData } from 'node:worker_threads';
import { netns } from '../../../src/native.ts';
import type { Request } from './client.ts';

netns.enter(workerData as string);
parentPort?.on('message', ({ id, method, url, headers, body, authority }: Request & { id: number }) => {
  const answer = (status: number, text: string) => parentPort?.postMessage({ id, status, body: text });
  const open = url.startsWith('https:') ? https.request : http.request;
  const request = open(url, { method, headers, agent: false, ...(authority !== undefined && { ca: authority }) });
  request.on('error', (error: Error) => answer(0, error.message));
  request.on('response', (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('error', (error: Error) => answer(0, error.message));
    response.on('end', () => answer(response.statusCode ?? 0, text));
  });
  request.end(body);
});
