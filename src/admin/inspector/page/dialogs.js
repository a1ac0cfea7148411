// The dialogs: the keys, and sending a notification again.

import { el, seen } from './dom.js';
import * as format from './format.js';

function open(kind, ...content) {
  const node = el('dialog', { class: kind, onclose: () => node.remove() }, ...content);
  document.body.append(node);
  node.showModal();
  return node;
}

/** The keys of a table as a list of names and what they do. */
export const keyList = (keys, say) => el('dl', { class: 'keys' }, keys.map(([names, what]) => [
  el('dt', {}, names.map((name, at) => [at ? ' ' : null, el('kbd', {}, name)])),
  el('dd', {}, say.keyNames[what]),
]));

export const help = (keys, say, about) => open(
  'help',
  el(
    'form',
    { method: 'dialog' },
    el('h2', {}, say.keys),
    keyList(keys, say),
    el('p', { class: 'dim small' }, `${say.zone}: ${about.zone}`),
    el('button', { class: 'primary', autofocus: true }, say.close),
  ),
);

/** Asks where to and what; `send(to, as)` gives the answer of the receiver. */
export function replay(item, say, about, send) {
  const answer = el('div', { class: 'answer', role: 'status', hidden: true });
  const to = el('input', {
    class: 'mono', type: 'url', name: 'to', required: true, spellcheck: 'false',
    value: `http://127.0.0.1:${about.port}${item.request?.target ?? '/'}`,
  });
  const choice = (value, label, checked, disabled) => el(
    'label', {}, el('input', { type: 'radio', name: 'as', value, checked, disabled }), label,
  );
  const isPart = Boolean(item.left_out);
  const show = (style, ...content) => {
    answer.hidden = false;
    answer.className = `answer ${style}`;
    answer.replaceChildren(...content);
  };
  let isSending = false;
  const onsubmit = async (event) => {
    event.preventDefault();
    // A button that is disabled would lose the focus.
    if (isSending) return;
    isSending = true;
    const as = new FormData(event.target).get('as');
    try {
      const { status, took_us: took, body } = await send(to.value, as);
      const isGood = status >= 200 && status < 300;
      show(
        isGood ? '' : 'failed',
        el(
          'b',
          { class: isGood ? 'good' : '' },
          say.replayAnswer(status, format.span(took / 1000)),
        ),
        el('code', {}, seen(format.text(body).slice(0, 400))),
      );
    } catch (error) {
      show('failed', el('span', {}, seen(say.errors[error.key] ?? error.message)));
    }
    isSending = false;
  };
  const node = open(
    'replay',
    el(
      'form',
      { method: 'dialog', onsubmit },
      el('h2', {}, say.replayTitle),
      el(
        'p',
        { class: 'dim mono' },
        seen(`${format.text(item.topic)} · ${format.text(item.message_id)}`),
      ),
      el('label', {}, say.replayTo, to),
      el('p', { class: 'dim small' }, say.allowedHosts(about.replay_to ?? [])),
      el(
        'fieldset',
        {},
        el('legend', {}, say.replayWhat),
        choice('request', say.replayRequest, !isPart, isPart),
        choice('message', say.replayMessage, isPart),
      ),
      el('p', { class: 'hint' }, say.replayNote),
      answer,
      el(
        'div',
        { class: 'buttons' },
        // No submit button: Enter in a field presses the first one, and is meant to send.
        el('button', { type: 'button', onclick: () => node.close() }, say.close),
        el('button', { class: 'primary' }, say.replaySend),
      ),
    ),
  );
  return node;
}
