// Elements and text nodes. Nothing here, and nothing that calls it, ever parses HTML: this is the
// only module that makes elements.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith('aria-')) node.setAttribute(name, String(value));
    else if (value === false) continue;
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

export const el = (tag, properties, ...children) =>
  fill(document.createElement(tag), properties, children);
export const svg = (tag, properties, ...children) =>
  fill(document.createElementNS(SVG, tag), properties, children);

const PATHS = {
  search: 'M11 4a7 7 0 1 0 4.4 12.4L20 21M11 4a7 7 0 0 1 4.4 12.4',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 5l12 7-12 7z',
  back: 'M15 5l-7 7 7 7',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  down: 'M12 4v11m-5-5 5 5 5-5M5 20h14',
  replay: 'M4 12a8 8 0 1 1 2.5 5.8M4 12V6m0 6h6',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.4m11.2 11.2L19 19'
    + 'M5 19l1.4-1.4M17.6 6.4 19 5',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z',
  auto: 'M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18',
  help: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7'
    + 'm0 3v.1',
  check: 'M5 13l4 4 10-11',
  cross: 'M6 6l12 12M18 6 6 18',
  dash: 'M6 12h12',
  warn: 'M12 4 2.5 20h19zM12 10v5m0 2.5v.1',
  up: 'M12 20V6m-6 6 6-6 6 6',
  wrap: 'M4 6h16M4 12h12a3 3 0 0 1 0 6h-4m2-2-2 2 2 2M4 18h4',
};

export const icon = (name, size = 16) => svg(
  'svg',
  { class: 'icon', viewBox: '0 0 24 24', width: size, height: size, 'aria-hidden': 'true' },
  svg('path', { d: PATHS[name] }),
);

const UNSEEN = new RegExp(
  '[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f'
  + '\\u2028-\\u202e\\u2060-\\u206f\\ufeff]',
);
const AROUND_UNSEEN = new RegExp(`(${UNSEEN.source})`);

/** A peer's text with what cannot be seen made visible: nothing hides in it or turns it around. */
export function seen(text) {
  if (!UNSEEN.test(text)) return [text];
  return text.split(AROUND_UNSEEN).map((part) => {
    if (part.length !== 1 || !UNSEEN.test(part)) return part;
    const code = part.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
    return el('span', { class: 'unseen' }, `U+${code}`);
  });
}

/** The sign of an outcome: a shape as well as a colour. */
export function sign(outcome) {
  const shapes = {
    accepted: () => svg('circle', { cx: 6, cy: 6, r: 4.5, class: 'solid' }),
    duplicate: () => svg(
      'g',
      {},
      svg('circle', { cx: 4.8, cy: 6, r: 3.6, class: 'open' }),
      svg('circle', { cx: 7.8, cy: 6, r: 3.6, class: 'open' }),
    ),
    remark: () => svg('path', { d: 'M6 1 11.5 11H.5z', class: 'solid' }),
    refused: () => svg('path', { d: 'M1.5 1.5h9v9h-9z', class: 'solid' }),
    deferred: () => svg('path', { d: 'M6 .8 11.2 6 6 11.2.8 6z', class: 'open' }),
    recovered: () => svg('path', { d: 'M10.5 6A4.5 4.5 0 1 1 9 2.6M9.5 0v3h-3', class: 'open' }),
    other: () => svg('path', { d: 'M2 6h8', class: 'open' }),
  };
  const shape = (shapes[outcome] ?? shapes.other)();
  const frame = { viewBox: '0 0 12 12', width: 12, height: 12, 'aria-hidden': 'true' };
  return svg('svg', { class: `sign ${outcome}`, ...frame }, shape);
}
