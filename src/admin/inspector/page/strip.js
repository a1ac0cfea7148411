// The last hour as pictures, drawn as SVG from numbers; each says in words what it shows.

import { el, sign, svg } from './dom.js';
import * as format from './format.js';

const WIDTH = 240;
const HEIGHT = 34;
const FRAME = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' };

function bars(minutes, kinds, label, title) {
  const total = (minute) => kinds.reduce((sum, [name]) => sum + minute[name], 0);
  const top = Math.max(1, ...minutes.map(total));
  const step = WIDTH / minutes.length;
  const chart = svg('svg', { class: 'chart', ...FRAME, 'aria-label': label });
  minutes.forEach((minute, at) => {
    let y = HEIGHT;
    for (const [name, style] of kinds) {
      const height = minute[name] ? Math.max(1.5, (minute[name] / top) * (HEIGHT - 2)) : 0;
      y -= height;
      const box = { x: at * step, y, width: step - 1, height };
      if (height) chart.append(svg('rect', { class: style, ...box }));
    }
    const hit = { class: 'hit', x: at * step, y: 0, width: step, height: HEIGHT };
    chart.append(svg('rect', hit, svg('title', {}, title(minute, at))));
  });
  return chart;
}

function lines(minutes, label, title) {
  const top = Math.max(1, ...minutes.map((minute) => minute.p99_us)) * 1.05;
  const step = WIDTH / (minutes.length - 1);
  // A root, so that the usual few milliseconds are seen beside a spike.
  const y = (value) => HEIGHT - 1 - Math.sqrt(value / top) * (HEIGHT - 3);
  const point = (name) => (minute, at) =>
    `${at ? 'L' : 'M'}${(at * step).toFixed(1)} ${y(minute[name]).toFixed(1)}`;
  const path = (name) => minutes.map(point(name)).join('');
  const chart = svg('svg', { class: 'chart', ...FRAME, 'aria-label': label });
  chart.append(
    svg('path', { class: 'area', d: `${path('p99_us')}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z` }),
    svg('path', { class: 'line high', d: path('p99_us') }),
    svg('path', { class: 'line', d: path('p50_us') }),
  );
  minutes.forEach((minute, at) => {
    const hit = { class: 'hit', x: at * step - step / 2, y: 0, width: step, height: HEIGHT };
    chart.append(svg('rect', hit, svg('title', {}, title(minute, at))));
  });
  return chart;
}

const ms = (us) => (us / 1000).toFixed(us < 100_000 ? 1 : 0);

/** The strip: `show(hour)` draws an hour of the API, `setRate(text)` the number of arrivals. */
export function strip(say, onsubscription) {
  const rate = el('span', {}, '0');
  const node = el('div', { class: 'strip' });
  const cell = (name, label, big, note, chart) => el(
    'section',
    { class: `cell ${name}`, 'aria-label': label },
    el(
      'div',
      { class: 'numbers' },
      el('h2', {}, label),
      el('p', { class: 'big num' }, big),
      el('p', { class: 'dim note' }, note),
    ),
    chart,
  );
  const subscription = (one) => el('li', {}, el(
    'button',
    {
      class: one.backing_off ? 'warned' : '',
      type: 'button',
      title: one.backing_off ? say.backingOff : `${one.topic} ${one.subscription}`,
      onclick: () => onsubscription(one),
    },
    el('span', { class: `dot ${one.backing_off ? 'warn' : one.ago_s > 600 ? 'idle' : 'on'}` }),
    el('span', { class: 'name' }, one.subscription),
    one.backing_off ? el('span', { class: 'sr' }, say.backingOff) : null,
    el('span', { class: 'dim num' }, format.ago(one.ago_s)),
  ));
  const show = ({ now, minutes, subscriptions }) => {
    const sum = (name) => minutes.reduce((total, minute) => total + minute[name], 0);
    const time = (at) => format.minute(now, minutes.length - 1 - at);
    const all = sum('accepted');
    const signed = sum('signed_refused');
    const others = sum('other_refused');
    const last = minutes.findLast((minute) => minute.p99_us);
    const inHour = say.inTheLastHour(format.count(all));
    const answers = last
      ? [
        ms(last.p50_us), el('small', {}, 'ms'),
        el(
          'span',
          { class: 'more' },
          el('span', { class: 'slash' }, '·'), ms(last.p99_us), el('small', {}, ' ms'),
        ),
      ]
      : '–';
    const latency = last ? `${ms(last.p50_us)} ms, ${ms(last.p99_us)} ms` : '–';
    const refusals = `${signed} ${say.signed}, ${others} ${say.strangers}`;
    node.replaceChildren(
      cell(
        'arrivals', say.arrivals, [rate, el('small', {}, say.perSecond)], inHour,
        bars(
          minutes, [['accepted', 'bar']], `${say.arrivals}: ${inHour}`,
          (minute, at) => `${time(at)}: ${format.count(minute.accepted)}`,
        ),
      ),
      cell(
        'answers', say.answerTime, answers, say.p50p99,
        lines(
          minutes, `${say.answerTime}: ${latency}`,
          (minute, at) => `${time(at)}: ${ms(minute.p50_us)} ms · ${ms(minute.p99_us)} ms`,
        ),
      ),
      cell(
        'refusals', say.refusals, [format.count(signed), signed ? sign('refused') : null],
        [say.signed, others ? ` · ${format.count(others)} ${say.strangers}` : ''],
        bars(
          minutes, [['signed_refused', 'bar bad'], ['other_refused', 'bar faint']],
          `${say.refusals}: ${refusals}`,
          (minute, at) => `${time(at)}: ${minute.signed_refused} · ${minute.other_refused}`,
        ),
      ),
      el(
        'section',
        { class: 'cell subscriptions', 'aria-label': say.subscriptions },
        el('h2', {}, say.subscriptions),
        subscriptions.length
          ? el('ul', {}, subscriptions.slice(0, 6).map(subscription))
          : el('p', { class: 'dim note' }, say.noneYet),
      ),
    );
  };
  return { node, show, setRate: (text) => { rate.textContent = text; } };
}
