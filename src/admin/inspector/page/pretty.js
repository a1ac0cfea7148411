// Messages made readable without changing a token: numbers keep their digits, and keys that are
// there twice stay twice. Gives lines of [class, text] pieces; the caller makes text nodes of them.

const JSON_TOKEN =
  /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]|\s+/gy;

export function json(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  // It decides whether this is JSON, and its result is thrown away.
  try { JSON.parse(text); } catch { return null; }
  const tokens = (text.match(JSON_TOKEN) ?? []).filter((token) => token.trim());
  const lines = [];
  let line = [];
  let depth = 0;
  let opens = false;
  const flush = () => { lines.push({ depth, pieces: line }); line = []; };
  const begin = () => {
    if (!opens) return;
    flush();
    depth += 1;
    opens = false;
  };
  tokens.forEach((token, at) => {
    const next = tokens[at + 1];
    if (token === '{' || token === '[') {
      begin();
      line.push(['p', token]);
      opens = next !== '}' && next !== ']';
    } else if (token === '}' || token === ']') {
      const previous = tokens[at - 1];
      if (previous !== '{' && previous !== '[') {
        flush();
        depth -= 1;
      }
      opens = false;
      line.push(['p', token]);
    } else if (token === ',') {
      line.push(['p', ',']);
      flush();
    } else if (token === ':') {
      line.push(['p', ': ']);
    } else {
      begin();
      const kind = next === ':' ? 'k' : token[0] === '"' ? 's' : /[tfn]/.test(token[0]) ? 'l' : 'n';
      line.push([kind, token]);
    }
  });
  flush();
  return lines;
}

const XML_TOKEN =
  /<!\[CDATA\[[\s\S]*?\]\]>|<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<\/[^>]+>|<[^>]+>|[^<]+/g;

export function xml(text) {
  if (!/^\s*<[?!a-zA-Z_]/.test(text)) return null;
  const tokens = text.match(XML_TOKEN) ?? [];
  // What is left over is no markup: as it is, it loses nothing.
  if (tokens.join('') !== text) return null;
  const lines = [];
  let line = [];
  let depth = 0;
  const flush = () => {
    if (line.length) lines.push({ depth, pieces: line });
    line = [];
  };
  tokens.forEach((token, at) => {
    if (token.startsWith('</')) {
      if (!line.length) depth = Math.max(0, depth - 1);
      line.push(['k', token]);
      flush();
    } else if (/^<[?!]/.test(token)) {
      const isData = token.startsWith('<![CDATA[');
      line.push([isData ? 's' : 'c', token]);
      if (!isData) flush();
    } else if (token.startsWith('<')) {
      flush();
      line.push(...tag(token));
      const next = tokens[at + 1] ?? '';
      const after = tokens[at + 2] ?? '';
      const holdsText = !next.startsWith('<') || next.startsWith('<![');
      const isLeaf = next.startsWith('</') || (holdsText && after.startsWith('</'));
      if (token.endsWith('/>')) {
        flush();
      } else if (!isLeaf) {
        flush();
        depth += 1;
      }
    } else if (token.trim()) {
      line.push(['t', line.length ? token : token.trim()]);
    }
  });
  flush();
  return lines;
}

function tag(token) {
  const parts = token.match(/^(<[^\s/>]+)([\s\S]*?)(\s*\/?>)$/);
  if (!parts) return [['k', token]];
  const pieces = [['k', parts[1]]];
  const attribute = /(\s+)([^\s=]+)(\s*=\s*)("[^"]*"|'[^']*')/g;
  let end = 0;
  for (const found of parts[2].matchAll(attribute)) {
    if (found.index !== end) return [['k', token]];
    end += found[0].length;
    pieces.push(['p', ' '], ['l', found[2]], ['p', '='], ['s', found[4]]);
  }
  if (end !== parts[2].length) return [['k', token]];
  pieces.push(['k', parts[3]]);
  return pieces;
}

export function base64(text) {
  // It may be broken into lines; words with a space between them are words.
  const plain = text.replace(/\r?\n/g, '');
  if (plain.length < 8 || plain.length % 4 || !/^[A-Za-z0-9+/]+={0,2}$/.test(plain)) return null;
  return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0));
}

export function utf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** What a message is, and the same made readable. `nested` is that of a base64 text. */
export function read(text, nested = false) {
  const tree = json(text);
  if (tree) return { kind: 'JSON', lines: tree };
  const markup = xml(text);
  if (markup) return { kind: 'XML', lines: markup };
  const bytes = nested ? null : base64(text);
  if (!bytes) return { kind: 'text', lines: plain(text) };
  const inner = utf8(bytes);
  // Many a word looks like base64: what decodes to control characters is none.
  const isText = inner !== null && !/[\u0000-\u0008\u000e-\u001f]/.test(inner);
  if (isText) return { kind: 'base64', inner: read(inner, true) };
  return isSurely(text) ? { kind: 'base64', bytes } : { kind: 'text', lines: plain(text) };
}

/** Bytes could be anything, and an order number of eight letters is no base64. */
const isSurely = (text) => text.trimEnd().endsWith('=')
  || (text.length >= 40 && [/[a-z]/, /[A-Z]/, /\d/].every((kind) => kind.test(text)));

export const plain = (text) =>
  text.split('\n').map((line) => ({ depth: 0, pieces: [['t', line]] }));

export function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = [...bytes.slice(at, at + 16)];
    const digits = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const letter = (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·');
    const pieces = [
      ['c', `${at.toString(16).padStart(6, '0')}  `],
      ['t', digits.padEnd(49)],
      ['s', part.map(letter).join('')],
    ];
    lines.push({ depth: 0, pieces });
  }
  return lines;
}
