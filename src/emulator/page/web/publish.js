// The form that publishes a message.

import { el, seen } from './dom.js';

/** `onpublish(value)` gives what was published, or nothing; `choose(topic)` fills in a topic. */
export function publish(say, onpublish) {
  const names = el('datalist', { id: 'topic-names' });
  const topic = el('input', {
    type: 'text', name: 'topic', required: true, list: 'topic-names', spellcheck: 'false',
    autocomplete: 'off',
  });
  const tag = el('input', { type: 'text', name: 'tag', maxlength: 16, autocomplete: 'off' });
  const message = el('textarea', { name: 'message', rows: 5, class: 'mono', spellcheck: 'false' });
  message.value = '{"hello": "world"}';
  const button = el('button', { class: 'primary' }, say.publish);
  const answer = el('p', { class: 'answer small', role: 'status' });
  const onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    const value = { topic: topic.value.trim(), message: message.value, tag: tag.value.trim() };
    const told = await onpublish(value);
    button.disabled = false;
    answer.replaceChildren(...(told
      ? [say.published(told.subscriptions.length), ' ', el('code', {}, seen(told.message_id))]
      : []));
  };
  const form = el(
    'form',
    { onsubmit },
    el('label', {}, say.topic, topic), names,
    el('label', {}, say.message, message),
    el('label', {}, say.tag, tag),
    el('div', { class: 'buttons' }, button), answer,
  );
  const node = el(
    'section', { class: 'card', 'aria-label': say.publish }, el('h2', {}, say.publish), form,
  );
  const show = (state) => {
    const all = state.topics.map((one) => one.name);
    if (!topic.value && document.activeElement !== topic) topic.value = all[0] ?? '';
    const key = JSON.stringify(all);
    if (names.dataset.key === key) return;
    names.dataset.key = key;
    names.replaceChildren(...all.map((name) => el('option', { value: name })));
  };
  const choose = (name) => {
    topic.value = name;
    message.focus();
  };
  return { node, show, choose };
}
