// Compiled only, by declarations.test.js: the declarations as a strict program uses them.
import {
  attachTc,
  attachTcInBackground,
  BpfError,
  BpfMap,
  BpfObject,
  detachTc,
  features,
  type Layout,
  listTc,
  type Member,
  mapFlags,
  netlink,
  netns,
  PacketSocket,
  RingBuffer,
  socket,
  type TcLink,
} from '../../lib/index.js';

const o: BpfObject = BpfObject.open('x');
const l: Layout = o.layout;
const m: Member | undefined = l.structs.get('a')?.members[0];
const e: number | bigint | undefined = l.enums.get('x')?.get('y');
o.setRodata('a', Buffer.alloc(4));
using map = o.map('m');
for (const [key, value] of map.entries()) map.set(key, value, 'noexist');
const { count, keys } = map.entriesBatch();
const made = BpfMap.create({ type: 'hash', keySize: 4, valueSize: 4, maxEntries: 3, flags: mapFlags.noPrealloc });
const r = o.program('p').testRun({ packet: Buffer.alloc(60), context: { mark: 3 } });
const mark: number | undefined = r.context?.mark;
const link: TcLink = attachTc(o.program('p'), { ifindex: 3, direction: 'egress' });
const attaching: Promise<void> = attachTcInBackground(o.program('p'), {
  ifindex: 3,
  direction: 'egress',
  pinPath: '/p',
});
const w = netlink.watch((event) => {
  if (event.kind === 'link') console.log(event.link.name);
  else if (event.kind === 'address') console.log(event.address.address);
});
const x: number = netns.run('a', () => socket.open({ family: 4, type: 'udp' }));
const links: netlink.Link[] = netlink.links();
const p = new PacketSocket({ ifindex: 3, onFrame: (f) => console.log(f.data) });
const ring = new RingBuffer(map, (b: Buffer) => console.log(b));
await BpfMap.rcuGracePeriod();
await map.setInnerBatch(keys, [made]);
const deleted: number = await map.deleteInnerBatch(keys, 1);
const err: unknown = null;
if (err instanceof BpfError) console.log(err.code, err.log);
console.log(
  m,
  e,
  count,
  keys,
  made,
  deleted,
  mark,
  link,
  w,
  x,
  links,
  p,
  ring,
  attaching,
  listTc(3, 'ingress'),
  detachTc({ ifindex: 3, direction: 'egress', priority: 1, handle: 1 }),
  features.hasTcx(),
);
// @ts-expect-error
new BpfMap();
// @ts-expect-error
o.map(3);
