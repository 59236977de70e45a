/** A few calls to build pages from values; text is always set as text, never as markup. */

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

type Child = Node | string;

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function list(items: Child[]): HTMLUListElement {
  return make("ul", {}, ...items.map((item) => make("li", {}, item)));
}

/** Show exactly these sections. */
export function show(...ids: string[]): void {
  for (const id of ["welcome", "training", "data", "choices", "leaving", "details"]) byId(id).hidden = !ids.includes(id);
}

/** "1.4 MB": decimal units, as phones show them. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} bytes`;
  if (count < 1e6) return `${(count / 1e3).toFixed(count < 1e4 ? 1 : 0)} KB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}
