// One notification: what it said, how it came, what was checked, how often it came.

import { el, icon, seen, sign } from './dom.js';
import * as format from './format.js';
import * as pretty from './pretty.js';

export const TABS = ['message', 'request', 'checks', 'deliveries'];
/** A tab is built from so many lines at most: a browser lays out no more in a moment. */
const LINES_MAX = 5000;

const isRefused = (item) => ['refused', 'deferred', 'other'].includes(item.outcome);

function block(lines, say, wrap) {
  const code = el('div', { class: `code${wrap ? ' wrap' : ''}`, tabindex: '0', role: 'group' });
  const piece = ([kind, text]) =>
    (kind === 't' ? seen(text) : el('span', { class: kind }, seen(text)));
  lines.slice(0, LINES_MAX).forEach((line, at) => code.append(el(
    'div',
    { class: 'line' },
    el('span', { class: 'ln', 'aria-hidden': 'true' }, at + 1),
    el('span', { class: 'lt' }, '  '.repeat(line.depth), line.pieces.map(piece)),
  )));
  if (lines.length <= LINES_MAX) return code;
  return [code, el('p', { class: 'dim small' }, say.moreLines(lines.length - LINES_MAX))];
}

const bytesOf = (value) => (typeof value === 'string'
  ? new TextEncoder().encode(value)
  : Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0)));

/** A body or message with the ways to look at it. */
function viewer(value, { say, state, again, oncopy }) {
  const bytes = bytesOf(value);
  const isText = typeof value === 'string';
  const found = isText ? pretty.read(value) : { kind: 'bytes' };
  const views = isText ? ['asPublished', 'hexView'] : ['hexView'];
  if (found.kind === 'base64') views.unshift('decoded');
  else if (found.kind === 'JSON' || found.kind === 'XML') views.unshift('pretty');
  const view = views.includes(state.view) ? state.view : views[0];
  const lines = {
    pretty: () => found.lines,
    decoded: () => found.inner?.lines ?? pretty.hex(found.bytes),
    asPublished: () => pretty.plain(value),
    hexView: () => pretty.hex(bytes.slice(0, LINES_MAX * 16)),
  }[view]();
  // Its columns would be broken.
  const isHex = view === 'hexView' || (view === 'decoded' && !found.inner);
  const kind = found.kind === 'base64'
    ? `base64 → ${found.inner ? kindName(found.inner.kind, say) : say.kindBytes}`
    : kindName(found.kind, say);
  const segment = (name) => el(
    'button',
    { type: 'button', 'aria-pressed': name === view, onclick: () => again({ view: name }) },
    say[name],
  );
  const quiet = (label, name, act, pressed) => el(
    'button',
    {
      type: 'button', class: 'quiet', title: label, 'aria-label': label,
      'aria-pressed': pressed, onclick: act,
    },
    icon(name),
  );
  return [
    el(
      'div',
      { class: 'bar' },
      el('span', { class: 'badge' }, kind),
      el('span', { class: 'dim num' }, say.bytes(format.count(bytes.length))),
      el('span', { class: 'grow' }),
      el('div', { class: 'segments small', role: 'group' }, views.map(segment)),
      quiet(say.wrap, 'wrap', () => again({ wrap: !state.wrap }), state.wrap),
      isText ? quiet(say.copyMessage, 'copy', () => oncopy(value)) : null,
    ),
    block(lines, say, state.wrap && !isHex),
  ];
}

const kindName = (kind, say) => ({ text: say.kindText, bytes: say.kindBytes }[kind] ?? kind);

function facts(item, say) {
  const attribute = (name) => {
    const found = item.attributes?.find(([other]) => other === name);
    return found ? format.text(found[1]) : '';
  };
  const row = (name, value, kind) =>
    [el('dt', {}, name), el('dd', { class: kind }, value ? seen(value) : '–')];
  const published = Number(attribute('PublishTime'));
  const before = Date.parse(item.came) - published;
  let publishedText = '';
  if (published > 0) {
    publishedText = before >= 0
      ? say.beforeArrival(format.span(before))
      : say.afterArrival(format.span(-before));
  }
  return el(
    'dl',
    { class: 'facts' },
    row(say.messageId, format.text(item.message_id), 'mono'),
    row(say.tag, format.text(item.tag)),
    row(say.came, format.full(item.came)),
    row(say.published, publishedText),
    row(say.peer, item.peer, 'mono'),
    row(say.owner, attribute('TopicOwner'), 'mono'),
  );
}

function messageTab(item, context) {
  const { say } = context;
  if (item.message === undefined || item.message === null) {
    const why = item.request || item.left_out ? say.noMessage : '';
    return [facts(item, say), el('p', { class: 'dim' }, why)];
  }
  return [facts(item, say), viewer(item.message, context)];
}

/** What the log files do not have of a request, and which key keeps it. */
const missing = (item, say) => (item.left_out
  ? el('p', { class: 'dim', role: 'note' }, say.leftOut[item.left_out])
  : null);

function requestTab(item, context) {
  const { say, state, again } = context;
  const { request } = item;
  if (!request) return missing(item, say);
  const value = (name, text) => {
    if (name !== 'authorization' || state.unveiled === item.id) return seen(text);
    return [
      el('span', { class: 'veil', title: say.signature }, '••••••••••••'), ' ',
      el(
        'button',
        { type: 'button', class: 'inline', onclick: () => again({ unveiled: item.id }) },
        say.hiddenHeader,
      ),
    ];
  };
  const header = ([name, text]) => el(
    'tr',
    {},
    el('th', { scope: 'row' }, seen(format.text(name))),
    el('td', { class: 'mono' }, value(format.text(name), format.text(text))),
  );
  const line = el(
    'span',
    { class: 'lt' },
    el('span', { class: 'k' }, seen(request.method)), ' ', seen(request.target), ' ',
    el('span', { class: 'c' }, 'HTTP/1.1'),
  );
  const bytes = item.bytes == null ? '' : ` ${say.bytes(format.count(item.bytes))}`;
  const size = el('span', { class: 'dim num' }, bytes);
  return [
    missing(item, say),
    el('h3', {}, say.target),
    el('div', { class: 'code', tabindex: '0', role: 'group' }, el('div', { class: 'line' }, line)),
    el('h3', {}, say.headers, el('span', { class: 'dim num' }, ` ${request.headers.length}`)),
    el('table', { class: 'headers' }, el('tbody', {}, request.headers.map(header))),
    el('h3', {}, say.body, size),
    request.body === null
      ? item.left_out ? null : el('p', { class: 'dim small' }, say.bodyNotKept)
      : request.body === ''
        ? null
        : viewer(request.body, context),
  ];
}

const VERDICTS = {
  ok: ['ok', 'check', 'checkOk'],
  refused: ['bad', 'cross', 'checkBad'],
  unknown: ['unknown', 'dash', 'checkUnknown'],
};

function causeText({ key, params }, say) {
  const values = Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, format.text(value)]),
  );
  return say.causes[key]({ ...values, change: say.respellings[values.change] });
}

function checksTab(item, { say, checks }) {
  const reason = item.reason ? say.reasons[item.reason] : null;
  const known = checks?.causes ?? [];
  const cause = isRefused(item) && reason
    ? el(
      'div',
      { class: 'cause' },
      el('h3', {}, say.likely),
      known.length
        ? [
          known.map((one) => el('p', {}, seen(causeText(one, say)))),
          el('h3', {}, say.remedy),
        ]
        : null,
      el('p', {}, reason[1]),
    )
    : null;
  if (!checks) return [cause];
  const entry = (check) => {
    const [style, mark, word] = VERDICTS[check.verdict] ?? VERDICTS.unknown;
    return el(
      'li',
      { class: style },
      icon(mark, 14),
      el(
        'span',
        { class: 'check' },
        say.checks[check.name] ?? check.name, el('span', { class: 'sr' }, ` ${say[word]}`),
      ),
      el(
        'span',
        { class: 'dim mono' },
        seen(format.text(check.detail) || check.reason || ''),
      ),
    );
  };
  const text = checks.string_to_sign;
  return [
    cause, missing(checks, say),
    el('ol', { class: 'checks' }, checks.checks.map(entry)),
    checks.left_out ? null : el('p', { class: 'dim small' }, say.judged),
    text ? el('h3', {}, say.stringToSign) : null,
    text ? block(pretty.plain(format.text(text)), say, true) : null,
  ];
}

function deliveriesTab(item, { say, deliveries, onselect }) {
  if (!deliveries) return null;
  const entry = (one) => el(
    'li',
    { class: one.id === item.id ? 'this' : '' },
    sign(one.outcome),
    one.id === item.id
      ? el('span', { class: 'num' }, format.full(one.came))
      : el(
        'button',
        { type: 'button', class: 'inline num', onclick: () => onselect(one) },
        format.full(one.came),
      ),
    el('span', {}, say.outcomes[one.outcome], ' ', el('b', { class: 'num' }, one.status)),
    el('span', { class: 'dim' }, seen(format.text(one.subscription))),
    el('span', { class: 'dim mono' }, one.peer),
  );
  return [
    el('p', { class: 'dim small' }, say.deliveriesText),
    el('ol', { class: 'deliveries' }, deliveries.map(entry)),
  ];
}

/** `item` is a row, or the whole notification once it has come; `context.error` if it cannot. */
export function detail(item, context) {
  const { say, state, again, onclose, acts } = context;
  const lines = {
    accepted: say.acceptedLine, duplicate: () => say.duplicateLine, remark: say.acceptedLine,
    refused: () => say.refusedLine(item.status), deferred: say.deferredLine,
    recovered: () => say.recoveredLine, other: () => say.otherLine(item.status),
  };
  const took = item.took_us == null ? '' : format.span(item.took_us / 1000);
  const line = lines[item.outcome](took);
  const reason = item.reason ? say.reasons[item.reason] : null;
  const build = {
    message: messageTab, request: requestTab, checks: checksTab, deliveries: deliveriesTab,
  };
  const content = context.error
    ? el('p', { class: 'dim', role: 'status' }, context.error)
    : build[state.tab](item, context);
  const panel = { class: 'panel', role: 'tabpanel', id: 'panel', tabindex: '0' };
  const tab = (name, at) => el(
    'button',
    {
      type: 'button', role: 'tab', id: `tab-${name}`, 'aria-selected': state.tab === name,
      'aria-controls': 'panel', tabindex: state.tab === name ? '0' : '-1', title: String(at + 1),
      onclick: () => again({ tab: name }),
    },
    say.tabs[name],
    name === 'checks' && isRefused(item) ? el('span', { class: 'alarm' }) : null,
  );
  const act = ([name, key, kind, onclick]) => el(
    'button',
    { type: 'button', class: `act ${name}`, title: `${say[name]}  ${key}`, onclick },
    icon(kind), el('span', {}, say[name]),
  );
  const close = (kind, label, name, size) => el(
    'button',
    { type: 'button', class: `quiet ${kind}`, title: label, 'aria-label': label, onclick: onclose },
    icon(name, size),
  );
  const topic = format.text(item.topic);
  const isClaim = item.claimed && topic;
  const of = format.text(item.subscription);
  return el(
    'article',
    { class: `detail ${item.outcome}`, 'aria-label': `${topic} ${format.text(item.message_id)}` },
    el(
      'header',
      {},
      close('back', say.backToList, 'back', 18),
      el(
        'div',
        { class: 'what' },
        el(
          'h2',
          {},
          seen(topic || `${item.method} ${item.target}`),
          of ? el('span', { class: 'dim' }, ' ', seen(of)) : null,
          isClaim ? el('span', { class: 'claimed' }, say.claimed) : null,
        ),
        el(
          'p',
          { class: 'outcome' },
          sign(item.outcome),
          el('span', {}, reason ? `${reason[0]}${say.joint}` : '', line),
        ),
      ),
      close('x', say.close, 'close', 16),
    ),
    el('div', { class: 'acts' }, acts.map(act)),
    el('div', { class: 'tabs', role: 'tablist' }, TABS.map(tab)),
    el('div', { ...panel, 'aria-labelledby': `tab-${state.tab}` }, content),
  );
}
