// The API of the endpoint. The token is shown in a header, so EventSource, which cannot send one,
// is of no use: the stream is read with fetch.

const NAME = 'mns-endpoint-token';
let token = read();

/** The address brings the token behind #, which is never sent, and loses it at once. */
function read() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const brought = hash.get('token');
  if (brought) {
    hash.delete('token');
    const rest = hash.toString();
    history.replaceState(null, '', location.pathname + location.search + (rest && `#${rest}`));
    keep(brought);
    return brought;
  }
  try { return sessionStorage.getItem(NAME); } catch { return null; }
}

function keep(value) {
  try { sessionStorage.setItem(NAME, value); } catch { /* It lasts as long as the page. */ }
}

export const hasToken = () => Boolean(token);

export function setToken(value) {
  token = value;
  keep(value);
}

/** An answer that is no success. */
export class ApiError extends Error {
  constructor(status, key, text) {
    super(text);
    this.status = status;
    this.key = key;
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(path, { ...options, headers, cache: 'no-store', redirect: 'error' });
  if (answer.ok) return answer;
  const text = await answer.text();
  let told = {};
  try { told = JSON.parse(text); } catch { /* Not every answer is the API's. */ }
  throw new ApiError(answer.status, told.error ?? '', told.text ?? text.trim());
}

const query = (parameters) => {
  const known = Object.entries(parameters).filter(([, value]) => value !== '' && value != null);
  const text = new URLSearchParams(known).toString();
  return text && `?${text}`;
};

export const get = async (path, parameters = {}, signal) =>
  (await call(`/api/${path}${query(parameters)}`, { signal })).json();

const waited = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** A page of the list. The endpoint searches its log files for one caller at a time. */
export async function list(parameters, signal) {
  for (;;) {
    try {
      return await get('notifications', parameters, signal);
    } catch (error) {
      if (error.key !== 'busy' || signal?.aborted) throw error;
      await waited(1000);
    }
  }
}

export const bytes = async (path) => (await call(`/api/${path}`)).blob();

export const post = async (path, value) => (await call(`/api/${path}`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
})).json();

/** Reads events until the stream ends or is closed; calls `onevent(name, data)` for each. */
export async function stream(parameters, onevent, signal) {
  const answer = await call(`/api/stream${query(parameters)}`, { signal });
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const events = text.split('\n\n');
    text = events.pop();
    for (const event of events) {
      const lines = event.split('\n');
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2);
      const data = field('data');
      if (data) onevent(field('event'), JSON.parse(data));
    }
  }
}
