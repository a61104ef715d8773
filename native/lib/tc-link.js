// Programs attached to the ingress or egress of an interface: by tcx links where the kernel has them, else clsact filters.
import { rmSync } from 'node:fs';
import { addon } from './addon.js';
import { BpfProgram } from './bpf-program.js';
import { checkIfindex, checkInstance, checkInteger, checkOneOf, checkOptions, checkString } from './check.js';
import { hasTcx } from './features.js';
import { Handle, internal, native, requireInternal } from './handle.js';

const DIRECTIONS = ['ingress', 'egress'];
const FILTER_OPTIONS = ['ifindex', 'direction', 'priority', 'handle'];

export class TcLink extends Handle {
  #mode;

  constructor(token, link, mode, label) {
    requireInternal(token, 'TcLink');
    super(link, label);
    this.#mode = mode;
  }

  static openPinned(path) {
    return new TcLink(internal, addon.TcLink.openPinned(checkString('path', path)), 'tcx', `tc link ${path}`);
  }

  static openClsact(filter) {
    const place = filterPlace(filter);
    return new TcLink(internal, addon.TcLink.openClsact(...place), 'clsact', labelOf(...place));
  }

  get mode() {
    return this.#mode;
  }

  get info() {
    return native(this).info();
  }

  pin(path) {
    native(this).pin(checkString('path', path));
  }

  unpin(path) {
    native(this);
    rmSync(checkString('path', path), { force: true });
  }

  update(program) {
    native(this).update(native(checkInstance('program', program, BpfProgram)));
  }

  detach() {
    native(this).detach();
  }
}

export function attachTc(program, options) {
  const { loaded, ifindex, direction, mode, priority, handle, pin } = checkAttachment(program, options);
  const link =
    mode === 'tcx'
      ? addon.TcLink.attachTcx(loaded, ifindex, direction, pin)
      : addon.TcLink.attachClsact(loaded, ifindex, direction, priority, handle);
  return new TcLink(internal, link, mode, labelOf(ifindex, direction));
}

export function attachTcInBackground(program, options) {
  const { loaded, ifindex, direction, mode, priority, handle, pin } = checkAttachment(program, options);
  if (mode === 'tcx' && pin === '') throw new TypeError('pinPath: a tcx link without a pin would end at once');
  return addon.TcLink.attachInBackground(loaded, ifindex, direction, priority, handle, mode === 'tcx' ? pin : '');
}

function checkAttachment(program, options) {
  const loaded = native(checkInstance('program', program, BpfProgram));
  checkOptions('options', options, [...FILTER_OPTIONS, 'mode', 'pinPath']);
  const { ifindex, direction, mode = 'auto', priority = 0, handle = 0, pinPath } = options;
  checkIfindex(ifindex);
  checkOneOf('direction', direction, DIRECTIONS);
  checkOneOf('mode', mode, ['auto', 'tcx', 'clsact']);
  checkInteger('priority', priority, 0, 65535);
  checkInteger('handle', handle, 0, 0xffffffff);
  const pin = pinPath === undefined ? '' : checkString('pinPath', pinPath);
  const chosen = mode === 'auto' ? (hasTcx() ? 'tcx' : 'clsact') : mode;
  return { loaded, ifindex, direction, mode: chosen, priority, handle, pin };
}

export function detachTc(filter) {
  return addon.TcLink.detachClsact(...filterPlace(filter));
}

export function listTc(ifindex, direction) {
  return addon.TcLink.list(checkIfindex(ifindex), checkOneOf('direction', direction, DIRECTIONS));
}

function filterPlace(filter) {
  checkOptions('filter', filter, FILTER_OPTIONS);
  return [
    checkIfindex(filter.ifindex),
    checkOneOf('direction', filter.direction, DIRECTIONS),
    checkInteger('priority', filter.priority, 1, 65535),
    checkInteger('handle', filter.handle, 1, 0xffffffff),
  ];
}

const labelOf = (ifindex, direction) => `tc ${direction} link of interface ${ifindex}`;
