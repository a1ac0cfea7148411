// The switches of what goes wrong on purpose.

import { el, icon } from './dom.js';
import * as format from './format.js';

/** What a switch is set to where a little of everything leaves it out, and how fine rates are. */
const RATE = 0.1;
const percent = (rate) => String(Math.round(rate * 10_000) / 100);

/** `onset(rates)` changes the rates; `show(state)` shows those that are set. */
export function chaos(say, onset) {
  const list = el('ul', {});
  const forgeries = el('p', { class: 'small dim' });
  const rows = new Map();
  const rates = () => Object.fromEntries([...rows].map(([kind, row]) => [kind, row.rate()]));
  const set = () => onset(rates());
  const all = (pick) => {
    for (const row of rows.values()) row.put(pick(row.usual));
    set();
  };
  function row({ kind, usual }) {
    const text = say.troubles[kind] ?? kind;
    const on = el('input', { type: 'checkbox', role: 'switch', onchange: () => toggled() });
    const rate = el('input', {
      type: 'number', min: 0, max: 100, step: 'any', 'aria-label': `${text}: %`,
      onchange: () => changed(),
    });
    const struck = el('span', { class: 'dim small num' });
    const put = (value) => {
      on.checked = value > 0;
      rate.value = value > 0 ? percent(value) : '';
    };
    const toggled = () => {
      put(on.checked ? usual || RATE : 0);
      set();
    };
    const changed = () => {
      if (!rate.reportValidity()) return;
      put(Number(rate.value) / 100);
      set();
    };
    const node = el(
      'li', {}, el('label', {}, on, el('span', {}, text)), struck,
      el('span', { class: 'rate' }, rate, '%'),
    );
    const show = (one) => {
      struck.textContent = one.struck ? say.struck(format.count(one.struck)) : '';
      // What somebody writes is not overwritten.
      if (document.activeElement !== rate) put(one.rate);
    };
    return { node, show, put, usual, rate: () => (on.checked ? Number(rate.value) / 100 : 0) };
  }
  const node = el(
    'section',
    { class: 'card chaos', 'aria-label': say.chaos },
    el('h2', {}, say.chaos), el('p', { class: 'dim small' }, say.chaosText), list,
    el(
      'div',
      { class: 'buttons' },
      el(
        'button', { type: 'button', class: 'act', onclick: () => all((usual) => usual) },
        say.everything,
      ),
      el('button', { type: 'button', class: 'act', onclick: () => all(() => 0) }, say.nothing),
    ),
    forgeries,
  );
  const show = (state) => {
    if (!rows.size) {
      for (const one of state.chaos) rows.set(one.kind, row(one));
      list.replaceChildren(...[...rows.values()].map((one) => one.node));
    }
    for (const one of state.chaos) rows.get(one.kind)?.show(one);
    const { refused, believed, unanswered } = state.forgeries;
    forgeries.hidden = refused + believed + unanswered === 0;
    forgeries.className = believed ? 'small wrong' : 'small dim';
    forgeries.replaceChildren(
      believed ? icon('warn', 14) : '',
      say.forgeries(format.count(refused), format.count(believed), format.count(unanswered)),
    );
  };
  return { node, show };
}
