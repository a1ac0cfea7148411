// The page: what is chosen, what is shown, and what the keys do.

import * as api from './api.js';
import { curl } from './curl.js';
import { detail, TABS } from './detail.js';
import { help, replay } from './dialogs.js';
import { el, icon } from './dom.js';
import * as format from './format.js';
import { forwarding } from './forwarding.js';
import { List, row } from './list.js';
import { languageLink, quiet, settings, themeButton } from './settings.js';
import { CUT, ROWS_MAX, SEGMENTS, Store } from './store.js';
import { strip } from './strip.js';

const query = new URLSearchParams(location.search);
const say = await settings({
  en: () => import('./i18n/en.js'), zh: () => import('./i18n/zh.js'),
});

/** How long a lost connection waits before it is tried again, in seconds. */
const WAITS = [1, 2, 4, 8, 15, 30];
const HOUR_EVERY_MS = 5_000;
const FORWARDING_EVERY_MS = 1_000;
/** How long "not listed" is shown after rows were skipped. */
const LAG_MS = 10_000;

const narrow = matchMedia('(max-width: 760px)');
const state = {
  about: null, chosen: null, whole: null, error: '', checks: null, deliveries: null,
  tab: TABS.includes(query.get('tab')) ? query.get('tab') : 'message',
  view: 'pretty', wrap: narrow.matches, unveiled: null,
  segment: SEGMENTS[query.get('show')] ? query.get('show') : 'all',
  isForwarding: query.get('view') === 'forwarding',
  strangers: query.has('strangers'), text: query.get('q') ?? '',
  paused: false, isOver: false, waiting: [], rate: 0, link: 'connecting', now: null,
  skipped: [], isStopped: false,
};

// --- parts -----------------------------------------------------------------

const store = new Store(api.list);
const outcomes = () => (state.strangers && ['all', 'refused'].includes(state.segment)
  ? [...SEGMENTS[state.segment], 'other']
  : SEGMENTS[state.segment]);

const list = new List({
  label: say.arrivals,
  rowHeight: narrow.matches ? 56 : 34,
  draw: () => row(say, () => state.text),
  onselect: (item) => (item.gap ? fill(item) : choose(item)),
  onscroll: (atTop) => { if (atTop && !holds()) release(); },
  onend: () => more(),
});
narrow.addEventListener('change', () => list.setRowHeight(narrow.matches ? 56 : 34));

const main = el('main', {});
const aside = el('aside', { class: 'side', 'aria-label': say.message });
const newer = el('button', {
  type: 'button', class: 'newer', hidden: true, onclick: () => newest(),
});
const input = el('input', {
  type: 'search', placeholder: say.searchPlaceholder, 'aria-label': say.search,
  value: state.text, spellcheck: 'false', autocomplete: 'off', oninput: () => typed(),
});
const status = el('span', { class: 'status' });
const health = el('button', { type: 'button', class: 'health', popovertarget: 'health' });
const healthBox = el('div', { id: 'health', popover: 'auto' });
const segments = el('div', { class: 'segments', role: 'group' });
const strangers = el('button', {
  type: 'button', class: 'chip', onclick: () => { state.strangers = !state.strangers; reshow(); },
});
const pause = el('button', { type: 'button', class: 'act pause', onclick: () => togglePause() });
const announcer = el('div', { class: 'sr', role: 'status', 'aria-live': 'polite' });
const notices = el('div', { class: 'notices' });
const nothing = el(
  'div',
  { class: 'nothing', hidden: true },
  el('h2', {}, say.nothingFound), el('p', { class: 'dim' }, say.tryOther),
);
const foot = el('div', { class: 'foot', role: 'status', hidden: true });
const picture = strip(say, (one) => {
  input.value = `topic:${one.topic} sub:${one.subscription}`;
  search();
});

const destinations = forwarding(say);
const tools = el('div', { class: 'tools', role: 'search' });
const alarm = el('span', { class: 'alarm', hidden: true }, el('span', { class: 'sr' }, say.alarm));
const views = Object.entries(say.views).map(([name, label]) => el(
  'button', { type: 'button', onclick: () => turn(name === 'forwarding') }, label,
  name === 'forwarding' ? alarm : null,
));

const announce = (text) => { announcer.textContent = text; };

// --- rows --------------------------------------------------------------------

/** Whether the list stands still: paused, under the pointer, or not in sight. */
const holds = () => state.paused || state.isOver || state.isForwarding;

function show() {
  const held = new Set(state.waiting);
  const items = store.of(outcomes()).filter((item) => !held.has(item));
  list.set(items);
  const { isDone } = store.progress(outcomes());
  const isEmpty = items.length === 0 && isDone;
  const hasNone = isEmpty && !state.text && store.seen === 0 && state.link === 'live';
  const empty = main.querySelector('.empty');
  if (hasNone && !empty) main.append(emptyView());
  if (!hasNone) empty?.remove();
  main.classList.toggle('is-empty', hasNone);
  nothing.hidden = !isEmpty || hasNone || state.link !== 'live';
  top();
  showSearch();
}

/** How far the log files are searched: while they are, and until all of them are if words are
 * searched for. */
function showSearch() {
  const { isDone, isLoading, searched } = store.progress(outcomes());
  const isSearching = isLoading && !state.isStopped;
  foot.hidden = !searched || (isDone && !state.text)
    || !(isSearching || state.isStopped || state.text);
  if (foot.hidden) return;
  const [done, all] = [searched.bytes, searched.total].map(format.size);
  const found = format.count(list.items.length);
  const when = searched.until ? format.minuteOf(searched.until) : '–';
  const action = isSearching ? [say.stop, stop] : [say.searchOn, searchOn];
  foot.replaceChildren(
    el('progress', {
      max: searched.total || 1, value: searched.bytes, 'aria-label': say.searchingBack,
    }),
    el(
      'span', {},
      el('b', {}, isDone ? say.searchDone(all) : isSearching ? say.searchingBack : say.searchHolds),
      el('span', { class: 'dim num' }, say.searchedTo(when, done, all, found)),
    ),
    el('span', { class: 'grow' }),
    isDone ? '' : el('button', { type: 'button', class: 'act', onclick: action[1] }, action[0]),
  );
}

let asking = null;

/** The search ends with the request for it. */
function abandon() {
  asking?.abort();
  asking = null;
}

function stop() {
  state.isStopped = true;
  abandon();
  showSearch();
  announce(say.searchHolds);
}

function searchOn() {
  state.isStopped = false;
  more(true);
}

function reshow() {
  remember();
  abandon();
  state.isStopped = false;
  list.node.scrollTop = 0;
  show();
  more();
}

function arrived({ rows, skipped, seq }) {
  const { fresh } = store.add(rows, skipped, seq);
  if (skipped) state.skipped.push([Date.now(), skipped]);
  const wanted = outcomes();
  const fitting = fresh.filter((item) => item.gap || wanted.includes(item.outcome));
  if (!fitting.length) {
    top();
    return;
  }
  if (holds() || (!list.atTop && list.items.length)) {
    state.waiting.push(...fitting);
    if (state.waiting.length > ROWS_MAX + CUT) state.waiting.splice(0, CUT);
    if (!holds()) release();
  } else {
    grow(fitting);
  }
  top();
}

function grow(fitting) {
  // With so many the store has dropped the first ones.
  const isFull = fitting.length >= ROWS_MAX
    || list.items.length + fitting.length > ROWS_MAX + CUT;
  if (!list.items.length || isFull) {
    show();
    return;
  }
  for (const item of fitting) list.items.push(item);
  list.grown(fitting.length);
}

/** What has waited goes in front; what is read stays where it is. */
function release() {
  const { waiting } = state;
  state.waiting = [];
  if (waiting.length) grow(waiting);
  waited();
}

function waited() {
  newer.hidden = state.waiting.length === 0;
  newer.replaceChildren(icon('up', 14), say.newer(format.count(state.waiting.length)));
}

function newest() {
  state.paused = false;
  release();
  list.node.scrollTop = 0;
  list.paint();
  top();
}

/** Loads older rows until the end of the list is out of sight, or one page more. */
async function more(isOne) {
  const wanted = outcomes().join();
  let isFirst = isOne;
  while (!state.isStopped && (isFirst || list.isEndInSight) && wanted === outcomes().join()) {
    isFirst = false;
    asking ??= new AbortController();
    const own = asking;
    const page = store.more(outcomes(), own.signal);
    showSearch();
    try {
      if (!await page) break;
    } catch (error) {
      if (own.signal.aborted) break;
      if (error.status === 410) announce(say.gone);
      else failed(error);
      break;
    }
    show();
  }
  showSearch();
}

async function fill(gap) {
  try {
    await store.fill(gap);
    show();
  } catch (error) {
    failed(error);
  }
}

let typing;
function typed() {
  clearTimeout(typing);
  typing = setTimeout(search, 200);
}

function search() {
  clearTimeout(typing);
  state.text = input.value.trim();
  remember();
  restart();
}

function remember() {
  const parameters = new URLSearchParams(location.search);
  const put = (name, value) => (value ? parameters.set(name, value) : parameters.delete(name));
  put('q', state.text);
  put('show', state.segment === 'all' ? '' : state.segment);
  put('strangers', state.strangers ? '1' : '');
  put('view', state.isForwarding ? 'forwarding' : '');
  const text = parameters.toString();
  history.replaceState(null, '', location.pathname + (text && `?${text}`) + location.hash);
}

// --- head ----------------------------------------------------------------------

function top() {
  const kind = state.link === 'lost' ? 'lost' : state.paused ? 'paused' : 'live';
  const text = { live: say.live, paused: say.paused, lost: say.reconnecting }[kind];
  const rate = format.rate(state.rate);
  status.className = `status ${kind}`;
  status.replaceChildren(
    el('i', {}), text,
    kind === 'live' ? el('b', { class: 'num' }, ` ${rate}`, el('small', {}, say.perSecond)) : '',
  );
  picture.setRate(rate);
  const segment = (name) => el(
    'button',
    {
      type: 'button', 'aria-pressed': state.segment === name,
      onclick: () => { state.segment = name; reshow(); },
    },
    say.segments[name],
    el('span', { class: 'num n' }, format.count(store.count(SEGMENTS[name]))),
  );
  // Replaced only if something has changed: a click begins and ends on the same button.
  const names = Object.keys(SEGMENTS);
  const key = JSON.stringify([state.segment, names.map((name) => store.count(SEGMENTS[name]))]);
  if (segments.dataset.key !== key) {
    const focused = [...segments.children].indexOf(document.activeElement);
    segments.dataset.key = key;
    segments.replaceChildren(...names.map(segment));
    segments.children[focused]?.focus();
  }
  const others = store.count(['other']);
  strangers.hidden = !others;
  strangers.setAttribute('aria-pressed', state.strangers);
  const chip = state.strangers ? say.hideStrangers : say.showStrangers;
  strangers.textContent = chip(format.count(others));
  const label = state.paused ? say.resume : say.pause;
  pause.replaceChildren(icon(state.paused ? 'play' : 'pause'), el('span', {}, label));
  pause.title = `${label}  p`;
  pause.setAttribute('aria-label', label);
  waited();
  showNotices();
}

function showNotices() {
  const found = [];
  const now = Date.now();
  state.skipped = state.skipped.filter(([time]) => now - time < LAG_MS);
  const skipped = state.skipped.reduce((sum, [, count]) => sum + count, 0);
  if (state.link === 'lost') found.push(['warn', say.lost(state.wait)]);
  if (skipped) found.push(['warn', say.skipped(format.count(skipped), LAG_MS / 1000)]);
  if (state.now && !state.now.ready) {
    const parts = Object.entries(state.now.parts).filter(([, part]) => part.ready === false);
    for (const [name] of parts) {
      const [part, destination] = name.split('.');
      const text = destination ? say.backlogFull(destination) : say.broken[part];
      found.push(['bad', text ?? say.notReady]);
    }
  }
  const key = JSON.stringify(found);
  if (notices.dataset.key === key) return;
  notices.dataset.key = key;
  notices.replaceChildren(...found.map(([kind, text]) => el(
    'p',
    { class: `notice ${kind}`, role: kind === 'bad' ? 'alert' : 'status' },
    icon('warn'), el('span', {}, text),
  )));
}

function showHealth() {
  const { ready, parts } = state.now;
  health.className = `health ${ready ? '' : 'bad'}`;
  health.replaceChildren(el('i', {}), el('span', {}, ready ? say.ready : say.notReady));
  const facts = (part) => Object.entries(part)
    .filter(([name]) => name !== 'ready')
    .map(([name, value]) => `${name}: ${fact(name, value)}`)
    .join(', ');
  const line = ([name, part]) => {
    const kind = part.ready === undefined ? 'idle' : part.ready ? 'on' : 'warn';
    return [
      el('dt', {}, el('span', { class: `dot ${kind}` }), name),
      el('dd', { class: 'dim' }, facts(part)),
    ];
  };
  alarm.hidden = !Object.entries(parts).some(([name, part]) => name.startsWith('forward.')
    && (part.ended || !part.connected || !part.ready));
  const running = (Date.now() - Date.parse(state.about.started)) / 1000;
  const about = [
    `${say.version} ${state.about.version}`, say.running(format.ago(Math.max(0, running))),
    `${say.zone} (${state.about.zone})`,
  ];
  healthBox.replaceChildren(
    el('dl', {}, Object.entries(parts).map(line)),
    el('p', { class: 'dim small' }, about.join(', ')),
  );
}

function fact(name, value) {
  if (value === null) return '–';
  if (name.endsWith('_bytes')) {
    return value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(1)} GiB`
      : `${Math.round(value / 2 ** 20)} MiB`;
  }
  return Array.isArray(value) ? value.join(' ') || '–' : String(value);
}

// --- detail ----------------------------------------------------------------------

function choose(item) {
  state.chosen = item;
  state.whole = null;
  state.error = '';
  state.checks = null;
  state.deliveries = null;
  list.select(item, true);
  document.body.classList.toggle('chosen', Boolean(item));
  draw();
  if (item) load(item);
}

/** The whole of a row; what is not in memory any more may be in the log files. */
async function whole(item) {
  try {
    return await api.get(`notifications/${item.id}`);
  } catch (error) {
    if (error.status !== 410 || item.seq == null) throw error;
    const id = await store.findLogged(item);
    if (!id) throw error;
    item.id = id;
    return api.get(`notifications/${id}`);
  }
}

async function load(item) {
  try {
    const found = await whole(item);
    if (state.chosen !== item) return;
    state.whole = found;
  } catch (error) {
    if (state.chosen !== item) return;
    if (error.status === 410) state.error = say.gone;
    else failed(error);
  }
  draw();
  loadTab();
}

async function loadTab() {
  const item = state.chosen;
  if (!item || state.error) return;
  try {
    if (state.tab === 'checks' && !state.checks) {
      const checks = await api.get(`notifications/${item.id}/checks`);
      if (state.chosen === item) state.checks = checks;
    }
    if (state.tab === 'deliveries' && !state.deliveries) await loadDeliveries(item);
  } catch (error) {
    failed(error);
  }
  if (state.chosen === item) draw();
}

async function loadDeliveries(item) {
  const id = format.text(item.message_id);
  state.deliveries = [item];
  if (!id) return;
  const day = (days) => new Date(Date.parse(item.came) + days * 86_400_000).toISOString();
  const parameters = { message_id: id, limit: 200, since: day(-1.1), until: day(1.1) };
  const found = [];
  let before = '';
  do {
    const page = await api.list({ ...parameters, before });
    if (state.chosen !== item) return;
    found.push(...page.items.filter((row) => format.text(row.message_id) === id));
    if (found.length) state.deliveries = [...found].reverse();
    before = page.next;
    if (state.tab === 'deliveries') draw();
  } while (before);
}

function again(change) {
  const before = state.tab;
  Object.assign(state, change);
  draw();
  if (state.tab !== before) loadTab();
}

function draw() {
  if (!state.chosen) {
    aside.replaceChildren();
    return;
  }
  const focused = aside.contains(document.activeElement) ? document.activeElement.id : '';
  const { scrollTop } = aside.querySelector('.panel') ?? { scrollTop: 0 };
  const isSame = aside.dataset.id === state.chosen.id + state.tab;
  const acts = [
    ['copyCurl', 'c', 'copy', () => copyCurl()],
    ['replay', 'r', 'replay', () => openReplay()],
    ['download', 'd', 'down', () => download()],
    ['copyLink', 'l', 'link', () => copyLink()],
  ].filter(([name]) => name !== 'replay' || state.about.replay_to);
  aside.replaceChildren(detail(state.whole ?? state.chosen, {
    say, state, again, acts, checks: state.checks, deliveries: state.deliveries,
    error: state.error, onclose: () => back(), oncopy: (text) => copy(text),
    onselect: (one) => choose(store.rows.find((known) => known.id === one.id) ?? one),
  }));
  aside.dataset.id = state.chosen.id + state.tab;
  if (isSame) aside.querySelector('.panel').scrollTop = scrollTop;
  if (focused) document.getElementById(focused)?.focus();
}

/** Back to the list, which has not moved. */
function back() {
  choose(null);
  list.node.focus({ preventScroll: true });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce(say.copied);
    return true;
  } catch {
    // Neither localhost nor TLS: the reader copies it by hand.
    const node = el('textarea', {
      class: 'mono', rows: 12, readonly: true, 'aria-label': say.copy,
    });
    node.value = text;
    const box = el(
      'dialog', { class: 'copy', onclose: () => box.remove() },
      el(
        'form', { method: 'dialog' }, el('h2', {}, say.copyByHand), node,
        el('button', { class: 'primary' }, say.close),
      ),
    );
    document.body.append(box);
    box.showModal();
    node.select();
    return false;
  }
}

async function copied(name, text) {
  if (!await copy(text)) return;
  const label = aside.querySelector(`.act.${name} span`);
  if (!label) return;
  label.textContent = say.copied;
  setTimeout(() => { label.textContent = say[name]; }, 1500);
}

const curlAddress = (target) => {
  const { address } = state.about;
  try { return new URL(target, address).href; } catch { return address; }
};

const leftOut = () => state.whole?.left_out && say.leftOut[state.whole.left_out];

const copyCurl = () => state.whole?.request && !leftOut()
  && copied('copyCurl', curl(state.whole.request, curlAddress(state.whole.request.target)));

const copyLink = () => state.chosen
  && copied('copyLink', `${location.origin}/#n=${state.chosen.id}`);

async function download() {
  if (!state.chosen) return;
  try {
    const hasMessage = state.whole?.message != null;
    const part = hasMessage && (state.tab === 'message' || leftOut()) ? 'message' : 'request';
    const blob = await api.bytes(`notifications/${state.chosen.id}/${part}`);
    const href = URL.createObjectURL(blob);
    const name = part === 'request' ? 'notification.http' : 'notification.message';
    el('a', { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  } catch (error) {
    failed(error);
  }
}

function openReplay() {
  if (!state.chosen || !state.about.replay_to) return;
  const { id } = state.chosen;
  replay(state.whole ?? state.chosen, say, state.about, (to, as) =>
    api.post('replay', { id, to, as }));
}

// --- the connection ---------------------------------------------------------------

let connection = null;
let attempts = 0;

/** A browser has six connections for all pages of an address, so an unseen one has none. */
function restart() {
  connection?.abort();
  connection = null;
  abandon();
  state.isStopped = false;
  if (document.hidden) return;
  store.clear(state.text);
  state.waiting = [];
  connect(true);
}

async function connect(isFirst) {
  const own = new AbortController();
  connection?.abort();
  connection = own;
  try {
    if (isFirst) {
      await store.more(outcomes());
      if (own.signal.aborted) return;
      state.link = 'live';
      show();
      more();
    }
    const parameters = { q: state.text, after: store.seen };
    await api.stream(parameters, (name, data) => {
      if (own.signal.aborted) return;
      heard(name, data);
    }, own.signal);
    if (!own.signal.aborted) lost();
  } catch (error) {
    if (own.signal.aborted) return;
    if (error.status === 401 || error.status === 429) tokenView(error.status);
    else lost();
  }
}

function heard(name, data) {
  attempts = 0;
  if (state.link !== 'live') {
    state.link = 'live';
    top();
  }
  if (name === 'hello' && data.start !== state.start) {
    // Another start counts from the beginning.
    const isOther = state.start !== undefined;
    state.start = data.start;
    if (isOther) begin();
  }
  if (name === 'rows') arrived(data);
  if (name === 'state') {
    state.now = data;
    state.rate = data.rate;
    showHealth();
    top();
  }
}

function lost() {
  state.link = 'lost';
  state.wait = WAITS[Math.min(attempts, WAITS.length - 1)];
  attempts += 1;
  top();
  const tick = setInterval(() => {
    if (state.link !== 'lost' || document.hidden) {
      clearInterval(tick);
      return;
    }
    state.wait -= 1;
    if (state.wait > 0) {
      top();
      return;
    }
    clearInterval(tick);
    connect(store.seen === 0);
  }, 1000);
}

function failed(error) {
  if (error.status === 401) tokenView(error.status);
  else announce(error.message);
}

let hourTimer;
async function hour() {
  clearTimeout(hourTimer);
  try { picture.show(await api.get('hour')); } catch { /* The stream says that it is lost. */ }
  if (!document.hidden) hourTimer = setTimeout(hour, HOUR_EVERY_MS);
}

let followed = 0;
/** Asks while it is seen: an endpoint computes nothing for a page that shows something else. */
async function follow() {
  followed += 1;
  const own = followed;
  while (state.isForwarding && !document.hidden && state.about && own === followed) {
    try { destinations.show(await api.get('forwarding')); } catch { /* The stream says so. */ }
    await new Promise((done) => { setTimeout(done, FORWARDING_EVERY_MS); });
  }
}

/** Where the list was when it went out of sight. */
let place = 0;
function turn(isForwarding) {
  if (isForwarding === state.isForwarding) return;
  if (isForwarding) place = list.node.scrollTop;
  state.isForwarding = isForwarding;
  remember();
  arrange();
  announce(isForwarding ? say.views.forwarding : say.views.notifications);
  if (!isForwarding) {
    list.node.scrollTop = place;
    if (list.atTop && !holds()) release();
  }
  if (!views.includes(document.activeElement)) {
    (isForwarding ? destinations.node : list.node).focus({ preventScroll: true });
  }
  top();
}

function arrange() {
  const { isForwarding } = state;
  for (const node of [tools, main]) node.hidden = isForwarding;
  destinations.node.hidden = !isForwarding;
  views.forEach((node, at) => {
    if (Boolean(at) === isForwarding) node.setAttribute('aria-current', 'page');
    else node.removeAttribute('aria-current');
  });
  follow();
}

document.addEventListener('visibilitychange', () => {
  if (!state.about) return;
  if (document.hidden) {
    connection?.abort();
    connection = null;
    abandon();
  } else if (!connection) {
    more();
    connect(store.seen === 0);
    hour();
    follow();
  }
});

// --- keys ---------------------------------------------------------------------------

function togglePause() {
  state.paused = !state.paused;
  announce(state.paused ? say.paused : say.live);
  if (state.paused) top();
  else newest();
}

const copyMessage = () => {
  const message = state.whole?.message;
  if (message != null) copied('copyCurl', format.text(message));
};

/** The keys as the help shows them, what they do, and by which keys they are called. */
const KEYS = [
  [['j', 'k'], 'move', { j: () => list.move(1), k: () => list.move(-1) }],
  [['Enter'], 'open', {}],
  [['Esc'], 'back', {}],
  [['/'], 'search', { '/': () => input.focus() }],
  [['1', '2', '3', '4'], 'tabs', Object.fromEntries(
    TABS.map((tab, at) => [at + 1, () => state.chosen && again({ tab })]),
  )],
  [['f'], 'forwarding', { f: () => turn(!state.isForwarding) }],
  [['p', 'Space'], 'pause', { p: togglePause, ' ': togglePause }],
  [['g'], 'newest', { g: newest }],
  [['c'], 'curl', { c: copyCurl }],
  [['y'], 'message', { y: copyMessage }],
  [['r'], 'replay', { r: openReplay }],
  [['d'], 'download', { d: download }],
  [['l'], 'link', { l: copyLink }],
  [['w'], 'wrap', { w: () => again({ wrap: !state.wrap }) }],
  [['?'], 'help', { '?': () => showHelp() }],
];
const ACTIONS = Object.assign({}, ...KEYS.map(([, , actions]) => actions));
const shownKeys = () => KEYS.filter(([, what]) => what !== 'replay' || state.about?.replay_to);
const showHelp = () => help(shownKeys(), say, state.about);

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.about) return;
  if (document.querySelector('dialog[open]') || document.querySelector('.token')) return;
  const { target, key } = event;
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  if (state.isForwarding && !['f', '?', 'Escape'].includes(key)) return;
  if (key === 'Escape') {
    if (state.isForwarding) {
      turn(false);
    } else if (isTyping && input.value) {
      input.value = '';
      search();
    } else if (isTyping) {
      list.node.focus({ preventScroll: true });
    } else if (state.chosen) {
      back();
    }
    return;
  }
  if (isTyping) {
    if (key === 'Enter') search();
    return;
  }
  const isButton = target.tagName === 'BUTTON' || target.tagName === 'A';
  if (target === list.node && (key === 'ArrowDown' || key === 'ArrowUp')) {
    list.move(key === 'ArrowDown' ? 1 : -1);
  } else if (key === 'Enter' && (target === list.node || target === document.body)) {
    if (!state.chosen) list.move(0);
    aside.querySelector('.panel')?.focus();
  } else if (target.getAttribute?.('role') === 'tab' && /^Arrow(Left|Right)$/.test(key)) {
    const by = key === 'ArrowRight' ? 1 : TABS.length - 1;
    again({ tab: TABS[(TABS.indexOf(state.tab) + by) % TABS.length] });
    document.getElementById(`tab-${state.tab}`)?.focus();
  } else if (ACTIONS[key] && !(isButton && key === ' ')) {
    ACTIONS[key]();
  } else {
    return;
  }
  event.preventDefault();
});

// --- the page -----------------------------------------------------------------------

function head(port) {
  return el(
    'header',
    { class: 'head' },
    el(
      'h1',
      {},
      el('img', { src: '/inspector/icon.svg', alt: '', width: 22, height: 22 }),
      'mns-endpoint', port ? el('span', { class: 'port num' }, `:${port}`) : null,
    ),
    port ? status : null,
    port ? el('nav', { class: 'views', 'aria-label': 'mns-endpoint' }, views) : null,
    el('span', { class: 'grow' }), port ? [health, healthBox] : null,
    languageLink(say), themeButton(say),
    port ? quiet('helper', say.keys, showHelp, icon('help', 17)) : null,
  );
}

function emptyView() {
  const { address, port } = state.about;
  const path = new URL(address).pathname.replace(/^\/$/, '/notifications');
  const own = `http://127.0.0.1:${port}${path}`;
  const lines = [
    [say.emptyAddress, address],
    [say.emptyTest, `mns-endpoint push ${own} --body hello`],
    [say.emptySubscribe, `mns-endpoint subscription create ${address} MyTopic MyTopic-Sub`],
  ];
  return el(
    'section',
    { class: 'empty' },
    el('div', { class: 'pulse', 'aria-hidden': 'true' }),
    el('h2', {}, say.emptyTitle), el('p', { class: 'dim' }, say.emptyText),
    lines.map(([label, text]) => el(
      'div',
      { class: 'copyable' },
      el('span', { class: 'dim small' }, label),
      el(
        'div',
        {},
        el('code', { tabindex: '0' }, text),
        quiet('', say.copy, () => copy(text), icon('copy')),
      ),
    )),
  );
}

function tokenView(why) {
  connection?.abort();
  connection = null;
  state.about = null;
  clearTimeout(hourTimer);
  document.body.classList.remove('chosen');
  const field = el('input', {
    type: 'password', class: 'mono', autocomplete: 'current-password', required: true,
  });
  const wrong = el('p', { class: 'wrong', role: 'alert' });
  if (why === 429) wrong.textContent = say.tooManyTokens;
  const onsubmit = async (event) => {
    event.preventDefault();
    // The address that the command prints is what is likely to be pasted.
    api.setToken(field.value.trim().split('token=').pop());
    await begin();
  };
  // Also that of an old address, or of an endpoint that has made another one since.
  if (why === 401 && api.hasToken()) wrong.textContent = say.wrongToken;
  const form = el(
    'form',
    { class: 'token', onsubmit },
    el('h2', {}, say.tokenTitle),
    el('p', { class: 'dim' }, say.tokenText),
    el('code', {}, 'mns-endpoint inspect'),
    el('label', {}, say.token, field), wrong,
    el('button', { class: 'primary' }, say.open),
  );
  document.body.replaceChildren(head(null), el('main', {}, form), announcer);
  field.focus();
}

function page() {
  const column = (text, kind) => el('span', { class: kind ?? '' }, text ?? '');
  main.replaceChildren(
    el(
      'div',
      { class: 'left' },
      el(
        'div',
        { class: 'columns', 'aria-hidden': 'true' },
        column(say.time), column(), column(say.from), column(say.message), column(say.size, 'r'),
        column(say.took, 'r'),
      ),
      newer, list.node, nothing, foot,
    ),
    aside,
  );
  tools.replaceChildren(
    el('label', { class: 'search' }, icon('search'), input, el('kbd', {}, '/')),
    segments, strangers, el('span', { class: 'grow' }), pause,
  );
  document.body.replaceChildren(
    head(state.about.port), notices, picture.node, tools, main, destinations.node, announcer,
  );
  arrange();
  document.title = `mns-endpoint :${state.about.port}`;
}

list.node.addEventListener('pointerenter', (event) => {
  state.isOver = event.pointerType === 'mouse';
});
list.node.addEventListener('pointerleave', () => {
  state.isOver = false;
  if (!state.paused && state.waiting.length) {
    release();
    top();
  }
});

async function begin() {
  try {
    state.about = await api.get('about');
  } catch (error) {
    if (error.status === 401 || error.status === 429) {
      tokenView(error.status);
    } else {
      setTimeout(begin, 2000);
    }
    return;
  }
  page();
  health.replaceChildren(el('i', {}), el('span', {}, say.ready));
  top();
  restart();
  hour();
  const wanted = new URLSearchParams(location.hash.slice(1)).get('n');
  if (wanted) openLink(wanted);
}

/** A link names one notification; the list may not have it yet. */
async function openLink(id) {
  try {
    choose(await api.get(`notifications/${id}`));
  } catch (error) {
    if (error.status === 410) {
      notices.append(el('p', { class: 'notice warn', role: 'status' }, icon('warn'), say.gone));
    } else {
      failed(error);
    }
  }
}

begin();
