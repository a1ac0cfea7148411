// The rows that are here: those that came by the stream, and older ones page by page, first from
// the memory of the endpoint and then from its log files.

/** The rows that are kept; the oldest go first. */
export const ROWS_MAX = 100_000;
/** So many more are let in before they go, so that not each new row moves all of them. */
export const CUT = 5_000;
const PAGE = 200;
/** The times of a row in memory and of its record in a log differ by so much at most. */
const SLACK_MS = 5_000;

export const SEGMENTS = {
  all: ['accepted', 'duplicate', 'remark', 'refused', 'deferred', 'recovered'],
  accepted: ['accepted', 'remark', 'recovered'],
  refused: ['refused', 'deferred'],
  duplicates: ['duplicate'],
};

/** What a row has in memory and in the log files alike. */
const mark = ({ outcome, status, message_id: message, request_id: request, peer }) =>
  JSON.stringify([outcome, status, message, request, peer]);

const moved = (time, ms) => new Date(Date.parse(time) + ms).toISOString();

export class Store {
  /** `list(parameters, signal)` asks the API for a page. */
  constructor(list) {
    this.list = list;
    this.clear('');
  }

  clear(query) {
    this.query = query;
    this.rows = [];
    /** What the log files gave, for each segment. */
    this.older = new Map();
    /** The ids of those that are counted: two segments may have the same. */
    this.counted = new Set();
    /** How far they are searched. */
    this.searched = new Map();
    /** The number of the last row that was looked at, here or by the endpoint. */
    this.seen = 0;
    this.counts = {};
    this.cursors = new Map();
    this.round = (this.round ?? 0) + 1;
    this.loading = new Set();
  }

  /** The rows of a segment, the oldest first. */
  of(outcomes) {
    const rows = this.rows.filter((row) => row.gap || outcomes.includes(row.outcome));
    return [...this.older.get(outcomes.join()) ?? [], ...rows];
  }

  count(outcomes) { return outcomes.reduce((sum, name) => sum + (this.counts[name] ?? 0), 0); }

  /** How far a segment is: whether more may come, whether it is asked for, and what is searched. */
  progress(outcomes) {
    const key = outcomes.join();
    return {
      isDone: this.cursors.get(key) === null,
      isLoading: this.loading.has(key),
      searched: this.searched.get(key) ?? null,
    };
  }

  /** Adds what came by the stream; returns what was added. */
  add(rows, skipped, seq) {
    const last = this.seen;
    this.seen = Math.max(last, seq);
    const fresh = rows.filter((row) => row.seq > last);
    if (skipped && fresh.length) {
      const first = fresh[0].seq;
      fresh.unshift({ gap: skipped, id: `gap-${first}`, seq: first - 0.5, after: last });
    }
    for (const row of fresh) {
      this.rows.push(row);
      if (!row.gap) this.counts[row.outcome] = (this.counts[row.outcome] ?? 0) + 1;
    }
    const isCut = this.rows.length > ROWS_MAX + CUT;
    if (isCut) this.rows.splice(0, this.rows.length - ROWS_MAX);
    return { fresh, isCut };
  }

  /** Loads the next older page of a segment; returns whether there was one, if an empty one. */
  async more(outcomes, signal) {
    const key = outcomes.join();
    const cursor = this.cursors.get(key);
    if (cursor === null || this.loading.has(key)) return false;
    const { round } = this;
    this.loading.add(key);
    try {
      const page = await this.list({
        q: this.query, outcome: key, limit: PAGE, before: cursor ?? '',
      }, signal);
      if (round !== this.round) return false;
      if (page.counts) {
        this.counts = page.counts;
        this.seen = Math.max(this.seen, page.last);
      }
      this.cursors.set(key, page.next);
      if (page.searched) this.deepen(key, page);
      else this.merge(page.items);
      return true;
    } finally {
      if (round === this.round) this.loading.delete(key);
    }
  }

  /** What the log files gave is older than all that is here. */
  deepen(key, { items, searched, next }) {
    for (const { id, outcome } of items) {
      if (!this.counted.has(id)) this.counts[outcome] = (this.counts[outcome] ?? 0) + 1;
      this.counted.add(id);
    }
    const until = searched.until ?? this.searched.get(key)?.until;
    this.searched.set(key, { ...searched, until });
    const older = [...items.reverse(), ...this.older.get(key) ?? []];
    this.older.set(key, older);
    if (older.length > ROWS_MAX && next) this.cursors.set(key, null);
  }

  /** Loads what a gap left out, from memory or else from the log files. */
  async fill(gap) {
    const at = this.rows.indexOf(gap);
    const [older, newer] = [this.rows[at - 1], this.rows[at + 1]];
    if (gap.isFilling || !newer) return;
    gap.isFilling = true;
    const { round } = this;
    const around = {
      since: older?.came ? moved(older.came, -SLACK_MS) : '', until: moved(newer.came, SLACK_MS),
    };
    const known = new Set(this.rows.map((row) => (row.gap ? '' : mark(row))));
    const found = [];
    try {
      let before = '';
      do {
        const page = await this.list({ q: this.query, limit: PAGE, before, ...around });
        for (const row of page.items) {
          if (!known.has(mark(row)) && found.length < gap.gap) found.push(row);
        }
        before = page.next;
      } while (before && found.length < Math.min(gap.gap, ROWS_MAX / 10));
    } finally {
      gap.isFilling = false;
    }
    if (round !== this.round) return;
    this.rows = this.rows.filter((row) => row !== gap);
    for (const [place, row] of found.entries()) {
      row.seq = gap.seq + 0.4 * (1 - place / found.length);
      this.counts[row.outcome] = (this.counts[row.outcome] ?? 0) + 1;
    }
    this.merge(found);
  }

  /** The id that a row of the memory has in the log files, if it is still there. */
  async findLogged(item, signal) {
    const parameters = {
      message_id: item.message_id, limit: PAGE, outcome: item.outcome,
      since: moved(item.came, -SLACK_MS), until: moved(item.came, SLACK_MS),
    };
    let before = '';
    do {
      const page = await this.list({ ...parameters, before }, signal);
      const found = page.items.find((row) => mark(row) === mark(item));
      if (found) return found.id;
      before = page.next;
    } while (before);
    return null;
  }

  merge(items) {
    const known = new Set(this.rows.map((row) => row.seq));
    const fresh = items.filter((row) => !known.has(row.seq));
    this.rows = [...this.rows, ...fresh].sort((a, b) => a.seq - b.seq);
  }
}
