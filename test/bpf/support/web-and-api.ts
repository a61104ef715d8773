/** What two pods of one node say to each other: `web` asks, `api` answers. */
import { expect } from 'vitest';
import { travel } from './journey.ts';
import type { PacketPath } from './packet-path.ts';
import { Traffic } from './traffic.ts';

export const DELIVERED = 'delivered';

/** @param pathOf asked at each packet: there is none before a test has begun */
export function webAndApi(pathOf: () => PacketPath, family: 4 | 6) {
  const t = new Traffic(family);
  const toApi = (frame: Uint8Array) => travel(pathOf(), { frame, from: 'web', to: 'api' });
  const toWeb = (frame: Uint8Array) => travel(pathOf(), { frame, from: 'api', to: 'web' });
  const request = (flags: string, from = 5000) => t.tcp('web', 'api', [from, 8080], flags);
  const reply = (flags: string, to = 5000) => t.tcp('api', 'web', [8080, to], flags);
  const connect = () => {
    expect(toApi(request('S'))).toBe(DELIVERED);
    expect(toWeb(reply('SA'))).toBe(DELIVERED);
    expect(toApi(request('A'))).toBe(DELIVERED);
  };
  return { t, toApi, toWeb, request, reply, connect };
}
