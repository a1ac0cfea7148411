// The emulator's page: asks for the state once a second, and shows what has changed.

import { attempts } from './attempts.js';
import { chaos } from './chaos.js';
import { el, seen } from './dom.js';
import { publish } from './publish.js';
import { languageLink, settings, themeButton } from './settings.js';
import { topics } from './topics.js';

const EVERY_MS = 1000;
const say = await settings({
  en: () => import('./i18n/en.js'), zh: () => import('./i18n/zh.js'),
});

async function call(path, value) {
  const options = value && {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  };
  const answer = await fetch(`/-/${path}`, { ...options, cache: 'no-store', redirect: 'error' });
  const text = await answer.text();
  let told;
  try { told = JSON.parse(text); } catch { told = { text: text.trim() }; }
  if (!answer.ok) throw new Error(told.text || `${answer.status}`);
  return told;
}

/** What was refused, in words: the answer is the emulator's own, so it is shown as text. */
const notices = el('div', { class: 'notices' });
function notice(text) {
  const shown = text
    && el('p', { class: 'notice bad', role: 'alert' }, el('span', {}, seen(text)));
  notices.replaceChildren(...(shown ? [shown] : []));
}

/** Does something, says what failed, and shows what has come of it. */
async function act(path, value) {
  try {
    const told = await call(path, value);
    notice('');
    return told;
  } catch (error) {
    notice(error.message);
    return null;
  } finally {
    look();
  }
}

const status = el('span', { class: 'status', role: 'status' });
function live(isLive) {
  const kind = isLive ? 'live' : 'lost';
  if (status.dataset.kind === kind) return;
  status.dataset.kind = kind;
  status.className = `status ${kind}`;
  status.replaceChildren(el('i', {}), isLive ? say.live : say.lost);
}

const form = publish(say, (value) => act('publish', value));
const parts = [
  topics(say, (value) => act('deliver', value), (topic) => form.choose(topic)),
  form,
  chaos(say, (rates) => act('chaos', { rates })),
  attempts(say),
];

let timer;
let asked = 0;
/** Asks now, and again in a second as long as somebody looks. */
async function look() {
  clearTimeout(timer);
  asked += 1;
  const own = asked;
  try {
    const state = await call('state');
    if (own !== asked) return;
    live(true);
    for (const part of parts) part.show(state);
  } catch (error) {
    if (own !== asked) return;
    live(false);
    if (!(error instanceof TypeError)) notice(error.message);
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, EVERY_MS);
}
document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else look();
});

const [known, publishing, trouble, pushed] = parts;
document.body.classList.add('emulator');
document.body.replaceChildren(
  el(
    'header',
    { class: 'head' },
    el(
      'h1',
      {},
      el('img', { src: '/-/icon.svg', alt: '', width: 22, height: 22 }),
      say.title, el('span', { class: 'port num' }, location.port && `:${location.port}`),
    ),
    status, el('span', { class: 'grow' }), languageLink(say), themeButton(say),
  ),
  notices,
  el(
    'main',
    {},
    el('div', { class: 'wide' }, known.node, pushed.node),
    el('div', { class: 'narrow' }, publishing.node, trouble.node),
  ),
);
look();
