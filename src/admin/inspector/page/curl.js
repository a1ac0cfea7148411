// A request as a curl command. What a peer wrote stands in it, so every part is quoted: pasted into
// a shell it does nothing but send these bytes.

import { text } from './format.js';

// Linux passes no argument of more than 128 KiB.
const ARGUMENT_MAX = 100 * 1024;
const SKIPPED = new Set(['host', 'content-length', 'connection', 'transfer-encoding']);

/** The UTF-8 bytes of a text, or those that came as base64. */
function bytesOf(value) {
  if (typeof value === 'string') return new TextEncoder().encode(value);
  return Uint8Array.from(atob(text(value)), (letter) => letter.charCodeAt(0));
}

/** POSIX quotes for text, $'…' of bash, zsh and ksh for other bytes. */
export function quote(value) {
  if (typeof value === 'string' && !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(value)
    && !/[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/.test(value)) {
    return `'${value.replaceAll("'", "'\\''")}'`;
  }
  const escaped = [...bytesOf(value)].map((byte) => {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x27 && byte !== 0x5c;
    return isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return `$'${escaped.join('')}'`;
}

function header(name, value) {
  const flag = (part) => `  -H ${quote(part)}`;
  // "name:" would take the header away, "name;" sends it empty.
  if (text(value) === '') return flag(`${name};`);
  if (typeof value === 'string') return flag(`${name}: ${value}`);
  return flag({ base64: btoa(`${name}: ${atob(value.base64)}`) });
}

/** The command that sends a request of the API to an address. */
export function curl(request, address) {
  const body = request.body ?? '';
  // A method may have any of !#$%&'*+-.^_`|~, so it is quoted too.
  const begin = `curl -sS --globoff --path-as-is -X ${quote(request.method)}`;
  const lines = [`${begin} ${quote(address)}`];
  for (const [name, value] of request.headers) {
    if (!SKIPPED.has(text(name))) lines.push(header(text(name), value));
  }
  // What curl would add of its own.
  for (const name of ['accept', 'content-type', 'user-agent']) {
    const isThere = request.headers.some(([other]) => text(other) === name);
    if (!isThere) lines.push(`  -H '${name}:'`);
  }
  const data = quote(body);
  if (bytesOf(body).includes(0) || data.length > ARGUMENT_MAX) {
    // No shell passes NUL to a program.
    return `# The body is no argument of a command: download it as notification.body\n${
      [...lines, '  --data-binary @notification.body'].join(' \\\n')}`;
  }
  // --data-binary and --data would read a file if the body began with @.
  return [...lines, `  --data-raw ${data}`].join(' \\\n');
}
