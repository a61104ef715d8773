/** Where the elements of a list stand in a JSON text, so that one can be put in or taken out and all else stays to the byte. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * @param text valid JSON, an object with a list under `key`
 * @returns the list's elements, without what stands between them; none where there is no such list
 */
export function elementsOf(text: string, key: string): readonly Span[] {
  let list: Span | undefined;
  for (const { from, to } of itemsOf(text, skipSpace(text, 0))) {
    const nameEnd = endOf(text, from);
    if (JSON.parse(text.slice(from, nameEnd)) !== key) continue;
    // Of fields with the same name the last one counts.
    list = { from: skipSpace(text, skipSpace(text, nameEnd) + 1), to };
  }
  return list === undefined ? [] : itemsOf(text, list.from);
}

/** What commas divide, of the object or list that begins there. */
function itemsOf(text: string, open: number): Span[] {
  const items: Span[] = [];
  let at = skipSpace(text, open + 1);
  while (at < text.length && text[at] !== '}' && text[at] !== ']') {
    const from = at;
    let to = endOf(text, at);
    at = skipSpace(text, to);
    if (text[at] === ':') {
      to = endOf(text, skipSpace(text, at + 1));
      at = skipSpace(text, to);
    }
    items.push({ from, to });
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return items;
}

/** Behind the value that begins there. */
function endOf(text: string, from: number): number {
  let depth = 0;
  let at = from;
  do {
    const first = text[at];
    if (first === '"') at = endOfString(text, at);
    else if (first === '{' || first === '[') {
      depth++;
      at++;
    } else if (first === '}' || first === ']') {
      depth--;
      at++;
    } else if (depth > 0) at++;
    else while (at < text.length && !/[\s,}\]]/.test(text[at] as string)) at++;
  } while (depth > 0);
  return at;
}

function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (/\s/.test(text[at] ?? '')) at++;
  return at;
}
