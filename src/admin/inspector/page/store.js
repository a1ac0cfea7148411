// The rows that are here: those that came by the stream, and older ones page by page.

/** The rows that are kept; the oldest go first. */
export const ROWS_MAX = 100_000;
/** So many more are let in before they go, so that not each new row moves all of them. */
export const CUT = 5_000;
const PAGE = 200;

export const SEGMENTS = {
  all: ['accepted', 'duplicate', 'remark', 'refused', 'deferred', 'recovered'],
  accepted: ['accepted', 'remark', 'recovered'],
  refused: ['refused', 'deferred'],
  duplicates: ['duplicate'],
};

export class Store {
  /** `list(parameters)` asks the API for a page. */
  constructor(list) {
    this.list = list;
    this.clear('');
  }

  clear(query) {
    this.query = query;
    this.rows = [];
    /** The number of the last row that was looked at, here or by the endpoint. */
    this.seen = 0;
    this.counts = {};
    this.cursors = new Map();
    this.round = (this.round ?? 0) + 1;
    this.loading = new Set();
  }

  /** The rows of a segment, the oldest first. */
  of(outcomes) { return this.rows.filter((row) => row.gap || outcomes.includes(row.outcome)); }

  count(outcomes) { return outcomes.reduce((sum, name) => sum + (this.counts[name] ?? 0), 0); }

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

  /** Loads the next older page of a segment; returns whether there was one. */
  async more(outcomes) {
    const key = outcomes.join();
    const cursor = this.cursors.get(key);
    if (cursor === null || this.loading.has(key)) return false;
    const { round } = this;
    this.loading.add(key);
    try {
      const page = await this.list({
        q: this.query, outcome: key, limit: PAGE, before: cursor ?? '',
      });
      if (round !== this.round) return false;
      if (page.counts) {
        this.counts = page.counts;
        this.seen = Math.max(this.seen, page.last);
      }
      this.cursors.set(key, page.next);
      this.merge(page.items);
      return page.items.length > 0;
    } finally {
      if (round === this.round) this.loading.delete(key);
    }
  }

  /** Loads what a gap left out, as far as it is still kept. */
  async fill(gap) {
    const { round } = this;
    const found = [];
    let before = this.rows[this.rows.indexOf(gap) + 1]?.id;
    while (before && found.length < ROWS_MAX / 10) {
      const page = await this.list({ q: this.query, limit: PAGE, before });
      found.push(...page.items.filter((row) => row.seq > gap.after));
      before = page.items.at(-1)?.seq > gap.after ? page.next : null;
    }
    if (round !== this.round) return;
    this.rows = this.rows.filter((row) => row !== gap);
    this.merge(found);
  }

  merge(items) {
    const known = new Set(this.rows.map((row) => row.seq));
    const fresh = items.filter((row) => !known.has(row.seq));
    this.rows = [...this.rows, ...fresh].sort((a, b) => a.seq - b.seq);
  }
}
