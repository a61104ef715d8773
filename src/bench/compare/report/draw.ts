/** A Vega specification -> SVG, and that -> PNG. What draws is loaded here alone, and only when something is to be drawn. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Spec } from 'vega';
import { FONT } from './plot-spec.ts';
import { ReportError } from './saved-report.ts';

/** Optional packages: an image goes without them. */
const PACKAGES = ['vega', '@resvg/resvg-wasm', 'dejavu-fonts-ttf'];
const require = createRequire(import.meta.url);

/** Before a long run whose report shall be drawn. @throws {ReportError} where it could not be */
export function checkDrawing(): void {
  const missing = PACKAGES.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  throw new ReportError(
    `plots need npm packages that are not here (an image has none of them): ${missing.join(', ')}; keep the report ` +
      'with -o json, and draw it in a checkout with selvedge bench report FILE --report DIRECTORY',
  );
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(`${name}/package.json`);
    return true;
  } catch (error) {
    // Those that do not export their manifest are there.
    return (error as NodeJS.ErrnoException).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED';
  }
}

export interface Painter {
  svg(spec: Spec): Promise<string>;
  /** @param zoom pixels for each of the SVG's */
  png(svg: string, zoom: number): Uint8Array;
}

/** @throws {ReportError} */
export async function openPainter(): Promise<Painter> {
  checkDrawing();
  const [vega, { Resvg }] = await Promise.all([import('vega'), loadResvg()]);
  const fontBuffers = ['DejaVuSans', 'DejaVuSans-Bold'].map((name) =>
    readFileSync(require.resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`)),
  );
  return {
    async svg(spec) {
      const view = new vega.View(vega.parse(spec), { renderer: 'none', logLevel: vega.Warn });
      try {
        return await view.toSVG();
      } finally {
        view.finalize();
      }
    },
    png(svg, zoom) {
      using drawing = disposable(
        new Resvg(svg, { fitTo: { mode: 'zoom', value: zoom }, font: { fontBuffers, defaultFontFamily: FONT } }),
      );
      using image = disposable(drawing.value.render());
      return image.value.asPng();
    },
  };
}

/** What WebAssembly holds is not collected. */
function disposable<T extends { free(): void }>(value: T): Disposable & { readonly value: T } {
  return { value, [Symbol.dispose]: () => value.free() };
}

let loaded: Promise<typeof import('@resvg/resvg-wasm')> | undefined;

/** Once for the process: it refuses a second time. */
function loadResvg(): Promise<typeof import('@resvg/resvg-wasm')> {
  loaded ??= (async () => {
    const resvg = await import('@resvg/resvg-wasm');
    await resvg.initWasm(readFileSync(require.resolve('@resvg/resvg-wasm/index_bg.wasm')));
    return resvg;
  })();
  return loaded;
}
