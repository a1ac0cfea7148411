// The topics with their subscriptions: what waits, when it is pushed next, and pushing it now.

import { el, icon, seen } from './dom.js';
import * as format from './format.js';

const DOTS = { idle: 'idle', pushing: 'on', waiting: 'warn', slowed: 'warn', kept: 'idle' };

/** Changes the text of a node only if it is another, so that what is selected stays so. */
function put(node, text) {
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.replaceChildren(...seen(text));
}

/** One subscription; its button stays the same one while the numbers change. */
function subscription(say, topic, name, ondeliver) {
  const dot = el('span', { class: 'dot' });
  const part = (kind) => el('span', { class: kind });
  const [what, state, next] = [part('dim small'), part('state small'), part('next small num')];
  const [endpoint, numbers, failure] = [
    part('endpoint mono'), part('dim small num'), part('failure small'),
  ];
  const now = el(
    'button',
    {
      type: 'button', class: 'act', 'aria-label': `${say.deliverNow}: ${topic} ${name}`,
      onclick: () => ondeliver({ topic, subscription: name }),
    },
    icon('replay'), say.deliverNow,
  );
  const node = el(
    'li',
    { class: 'subscription' },
    el('div', { class: 'line1' }, dot, el('b', {}, seen(name)), what, state, next, now),
    el('div', {}, endpoint), el('div', {}, numbers), failure,
  );
  const show = (one, counted) => {
    dot.className = `dot ${DOTS[one.state] ?? 'idle'}`;
    const tag = one.filter_tag && say.onlyTag(one.filter_tag);
    put(what, [one.format, one.strategy, tag].filter(Boolean).join(' · '));
    put(state, say.states[one.state] ?? one.state);
    const more = one.undelivered >= counted ? '+' : '';
    const pending = say.pending(`${format.count(one.undelivered)}${more}`);
    put(numbers, [
      pending, say.delivered(format.count(one.delivered)),
      say.failed(format.count(one.failed_pushes)), say.givenUp(format.count(one.given_up)),
    ].join(' · '));
    const isWaiting = one.undelivered > 0 && ['waiting', 'slowed'].includes(one.state);
    const soon = Math.ceil(one.next_ms / 1000);
    put(next, isWaiting ? say.next(format.ago(soon), one.failures) : '');
    put(endpoint, one.endpoint);
    put(failure, one.undelivered && one.last_failure ? one.last_failure : '');
    now.hidden = !isWaiting;
    node.classList.toggle('waits', isWaiting);
  };
  return { node, show };
}

function empty(say) {
  const { origin } = location;
  const lines = [
    `export MNS_ACCOUNT_ENDPOINT=${origin}`,
    'export ALIBABA_CLOUD_ACCESS_KEY_ID=emulator ALIBABA_CLOUD_ACCESS_KEY_SECRET=emulator',
    'mns-endpoint topic create',
    'mns-endpoint subscription create http://127.0.0.1:8080',
  ];
  return el(
    'div',
    { class: 'first' },
    el('p', { class: 'dim' }, say.noTopics),
    el('pre', { class: 'shell', tabindex: '0' }, lines.join('\n')),
  );
}

/** `show(state)` shows the topics of a state. */
export function topics(say, ondeliver, onchoose) {
  const list = el('div', { class: 'topics' });
  const node = el(
    'section', { class: 'card', 'aria-label': say.topics }, el('h2', {}, say.topics), list,
  );
  let known = '';
  let shown = new Map();
  const show = (state) => {
    const names = state.topics.map((topic) => [
      topic.name, topic.subscriptions.map((one) => one.name),
    ]);
    const key = JSON.stringify([names, state.is_cut]);
    if (key !== known) {
      known = key;
      shown = new Map();
      const topic = ([name, subscriptions]) => el(
        'section',
        { class: 'topic' },
        el('h3', {}, el(
          'button',
          { type: 'button', title: say.publishTo, onclick: () => onchoose(name) },
          seen(name),
        )),
        subscriptions.length
          ? el('ul', {}, subscriptions.map((one) => {
            const part = subscription(say, name, one, ondeliver);
            shown.set(`${name}/${one}`, part);
            return part.node;
          }))
          : el('p', { class: 'dim small' }, say.noSubscriptions),
      );
      list.replaceChildren(
        ...(names.length ? names.map(topic) : [empty(say)]),
        ...(state.is_cut ? [el('p', { class: 'dim small' }, say.isCut)] : []),
      );
    }
    for (const topic of state.topics) {
      for (const one of topic.subscriptions) {
        shown.get(`${topic.name}/${one.name}`).show(one, state.counted_max);
      }
    }
  };
  return { node, show };
}
