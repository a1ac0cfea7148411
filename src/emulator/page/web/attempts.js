// What was pushed and answered: the last attempts, the newest first.

import { el, seen, sign } from './dom.js';
import * as format from './format.js';

const clock = (ms) => {
  const time = new Date(ms);
  return `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, '0')}`;
};

/** A forgery that an endpoint refuses is as it should be; one that it believes is the worst. */
function kind({ forgery, status }) {
  const isSuccess = status >= 200 && status < 300;
  if (forgery) return isSuccess ? 'refused' : 'other';
  return isSuccess ? 'accepted' : 'refused';
}

function row(say, one) {
  const what = one.forgery ? say.troubles[one.forgery] ?? one.forgery : '';
  const isBelieved = one.forgery && kind(one) === 'refused';
  const answer = one.status ?? one.failure;
  return el(
    'tr',
    { class: `${kind(one)}` },
    el('td', { class: 'num time' }, clock(one.time_ms)),
    el('td', { class: 'mark' }, sign(kind(one))),
    el('td', {}, el('b', {}, seen(one.topic)), el('span', { class: 'dim' }, ' ', seen(
      one.subscription,
    ))),
    el('td', { class: 'num dim' }, say.attempt(one.attempt)),
    el(
      'td',
      { class: 'said' },
      seen(String(answer)), what && el('span', { class: 'tag' }, what),
      isBelieved ? el('b', { class: 'wrong' }, say.believed) : null,
    ),
    el('td', { class: 'num r' }, format.span(one.took_us / 1000)),
    el('td', { class: 'mono dim id' }, seen(one.message_id)),
  );
}

/** `show(state)` shows the attempts of a state. */
export function attempts(say) {
  const body = el('tbody', {});
  const none = el('p', { class: 'dim small' }, say.noAttempts);
  const column = (text, style) => el('th', { scope: 'col', class: style ?? '' }, text);
  const table = el(
    'table',
    {},
    el('thead', {}, el(
      'tr',
      {},
      column(say.time), column(el('span', { class: 'sr' }, say.outcome)),
      column(say.subscription), column(say.push), column(say.answer), column(say.took, 'r'),
      column(say.messageId, 'id'),
    )),
    body,
  );
  const node = el(
    'section',
    { class: 'card attempts', 'aria-label': say.attempts },
    el('h2', {}, say.attempts), none,
    el(
      'div',
      { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': say.attempts },
      table,
    ),
  );
  let last = 0;
  const show = (state) => {
    const newest = state.attempts[0]?.number ?? 0;
    // It was started again.
    if (newest < last) {
      last = 0;
      body.replaceChildren();
    }
    const fresh = state.attempts.filter((one) => one.number > last);
    body.prepend(...fresh.map((one) => row(say, one)));
    while (body.children.length > state.attempts.length) body.lastElementChild.remove();
    last = newest;
    none.hidden = newest > 0;
    table.hidden = newest === 0;
  };
  return { node, show };
}
