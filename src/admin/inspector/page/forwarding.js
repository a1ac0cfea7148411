// The destinations of accepted notifications: a card for each. Replaces only what has changed, so
// that a selection of the reader stays.

import { el, seen } from './dom.js';
import * as format from './format.js';

/** The look of each state, as that of the connection in the head. */
const LOOKS = {
  connected: 'live', failing: 'paused', disconnected: 'lost', ended: 'lost', not_started: 'lost',
};

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
const byReason = (counts) => {
  const each = Object.entries(counts).map(([reason, n]) => `${reason} ${format.count(n)}`);
  return format.count(sum(counts)) + (each.length ? ` (${each.join(', ')})` : '');
};

/** What is shown of a destination, by the name of its label; nothing for what it does not have. */
function facts(one, now, say) {
  const last = one.last_delivery;
  const ago = last && say.ago(format.ago(Math.max(0, Date.parse(now) - Date.parse(last)) / 1000));
  const backlog = format.size(one.backlog_bytes);
  const [stored, repeats] = [one.stored, one.duplicates].map(format.count);
  return {
    target: [one.target, ...one.servers].join(' · '),
    ack: one.ack === 'forward' ? say.ackForward(one.answer_timeout_ms / 1000) : say.ackJournal,
    topics: one.topics.join(', ') || say.allTopics,
    inFlight: format.count(one.in_flight),
    backlog: one.backlog_s ? say.oldest(backlog, format.ago(one.backlog_s)) : backlog,
    delivered: one.duplicates ? say.withRepeats(stored, repeats) : stored,
    lastDelivery: ago || '–',
    saved: one.saved_after_ms ? format.span(one.saved_after_ms) : '–',
    failures: byReason(one.failures),
    deadLetters: byReason(one.dead_letters),
    skipped: one.skipped_bytes ? format.size(one.skipped_bytes) : '',
  };
}

/** What is wrong with a destination, the worst first: what it is, what to do, and what was said. */
function problems(one, say) {
  const found = [];
  if (one.reason) {
    const [what, remedy] = say.forwardReasons[one.reason];
    const since = one.since_s == null ? '' : ` · ${say.since(format.ago(one.since_s))}`;
    const said = one.reason + (one.detail ? `: ${one.detail}` : '');
    found.push([one.state === 'failing' ? 'warned' : '', what + since, remedy, said]);
  }
  if (one.full) {
    found.push(one.when_full === 'skip'
      ? ['warned', say.forwardFull, say.fullSkips]
      : ['', say.forwardFull, say.fullRefuses]);
  }
  if (sum(one.dead_letters)) found.push(['warned', ...say.forwardDead(one.name)]);
  if (one.gap) {
    const [from, to] = [one.gap.after, one.gap.before].map((time) => format.full(time) || '–');
    found.push(['warned', ...say.forwardGap(from, to)]);
  }
  return found;
}

function put(node, text) {
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.replaceChildren(...seen(text));
}

function card({ name, kind }, say) {
  const state = el('span', {});
  const word = el('span', {});
  const wrong = el('div', { class: 'wrongs' });
  const values = {};
  const list = el('dl', { class: 'facts' }, Object.entries(say.forwardFacts).map(([key, label]) => {
    values[key] = el('dd', { class: 'num' });
    return el('div', { class: key }, el('dt', {}, label), values[key]);
  }));
  const node = el(
    'section', { class: 'destination', 'aria-label': name },
    el('header', {}, el('h2', {}, name), el('span', { class: 'badge' }, kind), state),
    wrong, list,
  );
  state.append(el('i', {}), word);
  const show = (one, now) => {
    state.className = `status ${LOOKS[one.state]}`;
    put(word, say.forwardStates[one.state]);
    const known = facts(one, now, say);
    for (const [key, value] of Object.entries(values)) {
      put(value, known[key]);
      value.parentElement.hidden = !known[key];
    }
    const found = problems(one, say);
    const key = JSON.stringify(found);
    if (wrong.dataset.key === key) return;
    wrong.dataset.key = key;
    wrong.replaceChildren(...found.map(([style, what, remedy, said]) => el(
      'div', { class: `cause ${style}` },
      el('h3', {}, what), el('p', {}, remedy),
      said ? el('p', { class: 'dim mono' }, seen(said)) : null,
    )));
  };
  return { node, show };
}

const none = (say) => [
  el('h2', {}, say.forwardNone), el('p', {}, say.forwardHow),
  el('pre', { class: 'shell', tabindex: '0' }, [
    '[forward.orders]', 'to = "nats"', 'servers = ["nats://127.0.0.1:4222"]',
    'stream = "MNS"', 'create = "missing"',
  ].join('\n')),
  el('p', { class: 'dim' }, say.forwardDocs),
];

/** The view: `show(answer)` draws an answer of the API. */
export function forwarding(say) {
  const label = say.views.forwarding;
  const shown = { class: 'forwarding', tabindex: '0', 'aria-label': label };
  const node = el('main', { ...shown, hidden: true });
  const cards = new Map();
  const held = el('p', { class: 'dim small' });
  const show = ({ now, destinations, held_files: files }) => {
    const key = destinations.map(({ name }) => name).join(' ');
    if (node.dataset.key !== key) {
      node.dataset.key = key;
      cards.clear();
      for (const one of destinations) cards.set(one.name, card(one, say));
      node.replaceChildren(destinations.length
        ? el('div', { class: 'destinations' }, [...cards.values()].map((one) => one.node))
        : el('section', { class: 'none' }, none(say)));
      if (destinations.length) {
        const note = `${say.forwardCounts} ${say.forwardDocs}`;
        node.append(held, el('p', { class: 'dim small' }, note));
      }
    }
    for (const one of destinations) cards.get(one.name).show(one, now);
    put(held, files ? say.heldFiles(format.count(files)) : '');
  };
  return { node, show };
}
