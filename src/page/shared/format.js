// Numbers, spans and times as a reader takes them in at a glance. Times stay in the zone of the
// endpoint, as its logs have them.

export const count = (number) => number.toLocaleString('en');

export const bytes = (number) =>
  (number < 1024 ? `${number} B` : `${(number / 1024).toFixed(1)} K`);

/** Bytes of files. */
export function size(number) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let [value, unit] = [number, 0];
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function span(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

export function ago(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return span(seconds * 1000);
}

export const rate = (perSecond) => (perSecond >= 100 || perSecond === 0
  ? count(Math.round(perSecond))
  : perSecond.toFixed(1));

/** Date, hours to seconds, milliseconds if there are any, and the zone. */
const parts = (time) =>
  /^(.{10})T(.{8})(\.\d+)?(.*)$/.exec(time ?? '')?.slice(1) ?? ['', '', '', ''];

/** Hours to seconds, and the milliseconds behind them. A text log has none. */
export const clock = (time) => [parts(time)[1], parts(time)[2] ?? ''];

export function full(time) {
  const [date, clocked, ms] = parts(time);
  return `${date} ${clocked}${ms ?? ''}`;
}

/** Month and day, hours and minutes. */
export const minuteOf = (time) => `${time.slice(5, 10)} ${time.slice(11, 16)}`;

/** The minute so many minutes before a time, on the same clock. */
export function minute(time, before) {
  const zone = parts(time)[3];
  const sign = zone[0] === '-' ? -1 : 1;
  const [hours, minutes] = zone.slice(1).split(':').map(Number);
  const offset = sign * ((hours || 0) * 60 + (minutes || 0));
  const shifted = Date.parse(time) + (offset - before) * 60_000;
  return new Date(shifted).toISOString().slice(11, 16);
}

/** A peer's bytes as text: what is no UTF-8 comes as base64. */
export const text = (value) => (typeof value === 'string' ? value : value?.base64 ?? '');
