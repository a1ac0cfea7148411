// A list of rows of one height: only those in sight exist, so 100,000 are as quick as ten.

import { el, seen, sign } from './dom.js';
import * as format from './format.js';
import { base64, utf8 } from './pretty.js';

const ABOVE = 6;

export class List {
  /** `items` are the oldest first, and shown the newest first. */
  constructor({ label, rowHeight, draw, onselect, onscroll, onend }) {
    this.items = [];
    this.rows = [];
    this.rowHeight = rowHeight;
    this.draw = draw;
    this.onselect = onselect;
    this.onend = onend;
    this.selected = null;
    /** What was selected last: the keys go on from there. */
    this.last = null;
    this.space = el('div', { class: 'space', role: 'presentation' });
    const role = { role: 'listbox', tabindex: '0', 'aria-label': label, id: 'list' };
    this.node = el('div', { class: 'list', ...role }, this.space);
    this.node.addEventListener('scroll', () => {
      this.paint();
      onscroll?.(this.atTop);
    }, { passive: true });
    this.node.addEventListener('click', (event) => {
      const row = event.target.closest('.row');
      if (row?.item) onselect(row.item, true);
    });
    new ResizeObserver(() => this.paint()).observe(this.node);
  }

  get atTop() { return this.node.scrollTop < this.rowHeight / 2; }

  get isEndInSight() {
    const { scrollTop, clientHeight } = this.node;
    return scrollTop + clientHeight > (this.items.length - ABOVE) * this.rowHeight;
  }

  setRowHeight(height) {
    this.rowHeight = height;
    this.set(this.items);
  }

  set(items) {
    this.items = items;
    this.resize();
    this.rows.forEach((row) => { row.item = null; });
    this.paint();
  }

  /** New ones are in front; what is being read stays where it is. */
  grown(by) {
    const keepsPlace = !this.atTop;
    this.resize();
    if (keepsPlace) this.node.scrollTop += by * this.rowHeight;
    this.paint();
  }

  resize() { this.space.style.height = `${this.items.length * this.rowHeight}px`; }

  at(place) { return this.items[this.items.length - 1 - place]; }

  placeOf(item) {
    const at = this.items.lastIndexOf(item);
    return at < 0 ? -1 : this.items.length - 1 - at;
  }

  select(item, intoView) {
    this.selected = item;
    this.last = item ?? this.last;
    const place = item ? this.placeOf(item) : -1;
    if (intoView && place >= 0) {
      const top = place * this.rowHeight;
      const { scrollTop, clientHeight } = this.node;
      const bottom = top + this.rowHeight;
      if (top < scrollTop) this.node.scrollTop = top;
      else if (bottom > scrollTop + clientHeight) this.node.scrollTop = bottom - clientHeight;
    }
    this.paint();
  }

  move(by) {
    const place = this.last ? this.placeOf(this.last) + by : 0;
    const item = this.at(Math.max(0, Math.min(this.items.length - 1, place)));
    if (item) this.onselect(item, false);
  }

  paint() {
    const { scrollTop, clientHeight } = this.node;
    const first = Math.max(0, Math.floor(scrollTop / this.rowHeight) - ABOVE);
    const inSight = Math.ceil(clientHeight / this.rowHeight) + 2 * ABOVE;
    const count = Math.max(0, Math.min(this.items.length - first, inSight));
    while (this.rows.length < count) {
      const row = this.draw();
      this.rows.push(row);
      this.space.append(row.node);
    }
    this.rows.forEach((row, at) => this.place(row, at < count ? first + at : -1));
    if (this.selected && this.rows.some((row) => row.item === this.selected)) {
      this.node.setAttribute('aria-activedescendant', `row-${this.selected.id}`);
    } else {
      this.node.removeAttribute('aria-activedescendant');
    }
    if (count && first + count >= this.items.length - ABOVE) this.onend?.();
  }

  place(row, place) {
    const item = place < 0 ? undefined : this.at(place);
    row.node.hidden = !item;
    if (!item) {
      row.item = null;
      row.node.item = null;
      return;
    }
    row.node.style.transform = `translateY(${place * this.rowHeight}px)`;
    if (row.item !== item) {
      row.show(item);
      row.item = item;
      row.node.item = item;
      row.node.id = `row-${item.id}`;
    }
    const isSelected = item === this.selected;
    row.node.classList.toggle('selected', isSelected);
    row.node.setAttribute('aria-selected', isSelected);
    row.node.setAttribute('aria-posinset', place + 1);
    row.node.setAttribute('aria-setsize', this.items.length);
  }
}

/** The part of a text around what was searched for, with that marked. */
function around(text, words) {
  const flat = text.slice(0, 4000).replace(/\s+/g, ' ');
  const low = flat.toLowerCase();
  const found = words.split(/\s+/).map((word) => word.toLowerCase())
    .find((word) => word && !/^\w+:/.test(word) && low.includes(word));
  if (!found) return [flat.slice(0, 240)];
  const at = low.indexOf(found);
  const from = at > 24 ? at - 16 : 0;
  const end = at + found.length;
  return [
    from ? '…' : '', flat.slice(from, at), el('mark', {}, flat.slice(at, end)),
    flat.slice(end, at + 240),
  ];
}

/** A preview that is base64 may be cut anywhere: whole groups of four decode. */
function decoded(preview, isWhole) {
  const groups = isWhole ? preview : preview.slice(0, preview.length - (preview.length % 4));
  const bytes = base64(groups);
  if (!bytes || (!/[+/=\d]/.test(groups) && groups.length < 24)) return null;
  // The last character may be cut as well.
  for (let cut = 0; cut < (isWhole ? 1 : 4); cut += 1) {
    const text = utf8(bytes.slice(0, bytes.length - cut));
    if (text !== null) return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? null : text;
  }
  return null;
}

export function row(say, searched) {
  const time = el('span', { class: 'time num' });
  const mark = el('span', { class: 'mark' });
  const topic = el('b');
  const subscription = el('span', { class: 'dim' });
  const from = el('span', { class: 'from' }, topic, subscription);
  const text = el('span', { class: 'text' });
  const size = el('span', { class: 'size num dim' });
  const took = el('span', { class: 'took num dim' });
  const node = el('div', { class: 'row', role: 'option' }, time, mark, from, text, size, took);
  const showGap = (item) => {
    node.className = 'row gap';
    for (const cell of [time, mark, topic, subscription, size, took]) cell.textContent = '';
    text.replaceChildren(el('em', {}, say.gap(format.count(item.gap))));
  };
  const show = (item) => {
    if (item.gap) {
      showGap(item);
      return;
    }
    const [clock, rest] = format.clock(item.came);
    time.replaceChildren(clock, el('i', {}, rest));
    const name = say.outcomes[item.outcome];
    mark.replaceChildren(sign(item.outcome), el('span', { class: 'sr' }, name));
    mark.title = name;
    node.className = `row ${item.outcome}${item.claimed ? ' claimed-row' : ''}`;
    const title = format.text(item.topic) || `${item.method} ${item.target}`;
    topic.replaceChildren(...seen(title));
    const of = format.text(item.subscription);
    subscription.replaceChildren(...(of ? seen(` ${of}`) : []));
    const parts = [];
    if (item.reason && item.outcome !== 'recovered') {
      parts.push(el('em', {}, say.reasons[item.reason]?.[0] ?? item.reason));
    }
    if (item.outcome === 'duplicate' || item.outcome === 'recovered') {
      parts.push(el('em', { class: 'soft' }, name));
    }
    const tag = format.text(item.tag);
    if (tag) parts.push(el('span', { class: 'tag' }, seen(tag)));
    const preview = format.text(item.preview);
    const inner = decoded(preview, preview.length >= item.message_bytes);
    if (inner) parts.push(el('span', { class: 'tag plain' }, 'base64'));
    for (const part of around(inner ?? preview, searched())) {
      parts.push(...(typeof part === 'string' ? seen(part) : [part]));
    }
    text.replaceChildren(...parts);
    size.textContent = item.bytes ? format.bytes(item.bytes) : '–';
    took.textContent = item.took_us == null ? '–' : format.span(item.took_us / 1000);
  };
  return { node, item: null, show };
}
