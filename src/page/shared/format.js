// Numbers, spans and times as a reader takes them in at a glance. Times stay in the zone of the
// endpoint, as its logs have them.

export const count = (number) => number.toLocaleString('en');

export const bytes = (number) =>
  (number < 1024 ? `${number} B` : `${(number / 1024).toFixed(1)} K`);

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

/** Hours to seconds, and the milliseconds behind them. */
export const clock = (time) => [time.slice(11, 19), time.slice(19, 23)];

export const full = (time) => time.slice(0, 23).replace('T', ' ');

/** The minute so many minutes before a time, on the same clock. */
export function minute(time, before) {
  const zone = time.slice(23);
  const sign = zone[0] === '-' ? -1 : 1;
  const [hours, minutes] = zone.slice(1).split(':').map(Number);
  const offset = sign * ((hours || 0) * 60 + (minutes || 0));
  const shifted = Date.parse(time) + (offset - before) * 60_000;
  return new Date(shifted).toISOString().slice(11, 16);
}

/** A peer's bytes as text: what is no UTF-8 comes as base64. */
export const text = (value) => (typeof value === 'string' ? value : value?.base64 ?? '');
