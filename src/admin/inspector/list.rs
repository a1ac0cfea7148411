//! Lists notifications before a position, newest first: those in memory, then those in the log
//! files.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use http::Uri;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::admin::inspector::cursor::{Cursor, Place};
use crate::admin::inspector::filter::{Filter, PARAMETERS};
use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::known::gone;
use crate::admin::inspector::logged::Logged;
use crate::admin::inspector::names::Names;
use crate::admin::inspector::query::{Query, wrong};
use crate::admin::inspector::searcher::Wanted;
use crate::admin::inspector::walks::Walk;
use crate::admin::respond::{ApiError, json};
use crate::journal::{Position, SearchStart};

/// The most rows of one answer, and the default.
const ROWS_MAX: usize = 200;
const ROWS: usize = 100;
/// The most requests answered between the start of a walk and its look at memory. They may be in
/// the files before the border.
const NEWER_MAX: usize = 1024;

/// `GET /api/notifications`.
pub(super) async fn notifications(
    inspector: &Arc<Inspector>,
    uri: &Uri,
) -> Result<Response, ApiError> {
    let known = [&PARAMETERS[..], &["before", "limit"]].concat();
    let query = Query::of(uri, &known)?;
    let limit = query.parsed("limit")?.unwrap_or(ROWS);
    if limit == 0 || limit > ROWS_MAX {
        return Err(wrong(format!("limit is from 1 to {ROWS_MAX}")));
    }
    let now = inspector.endpoint.clock.now();
    let filter = Filter::of(&query, now, &inspector.rows.zone)?;
    let Some(before) = query.get("before") else {
        // Read the border before memory: a row committed in between is then found in both, and left
        // out once, rather than in neither.
        let border = inspector.lookups.newest().await;
        let last = inspector.endpoint.recent.last();
        let (number, walk) = inspector.walks.begin(border, last);
        return Ok(remembered(
            inspector,
            &filter,
            limit,
            None,
            Some((number, walk)),
        ));
    };
    let Cursor { place, walk } = Cursor::of(before, &inspector.rows)
        .ok_or_else(|| wrong("before is no next of an answer, and no id of a row"))?;
    let found = walk.and_then(|number| Some((number, inspector.walks.find(number)?)));
    match place {
        Place::Remembered(_) | Place::Files if walk.is_some() && found.is_none() => {
            Err(gone("this list was left for too long: begin again"))
        }
        Place::Remembered(seq) => Ok(remembered(inspector, &filter, limit, Some(seq), found)),
        Place::Files => files(inspector, filter, limit, None, found).await,
        Place::At(position) => files(inspector, filter, limit, Some(position), found).await,
    }
}

/// The rows in memory with a number below `before`.
fn remembered(
    inspector: &Inspector,
    filter: &Filter,
    limit: usize,
    before: Option<u64>,
    walk: Option<(u64, Arc<Walk>)>,
) -> Response {
    let (is_first, before) = (before.is_none(), before.unwrap_or(u64::MAX));
    let remembered = inspector.endpoint.recent.after(0);
    let last = remembered.last().map_or(0, |recorded| recorded.seq);
    let paths = &inspector.rows.paths;
    let (mut items, mut at, mut is_all) = (Vec::new(), 0, true);
    let mut counts = BTreeMap::<&str, u64>::new();
    for recorded in remembered.iter().rev() {
        if recorded.seq >= before {
            continue;
        }
        let summary = &recorded.summary;
        let is_wanted = filter.wants(summary.outcome) && items.len() < limit;
        // The first page also counts matching rows by outcome, so it must look at all of them.
        if !is_wanted && !is_first && items.len() < limit {
            continue;
        }
        let names = Names::of(summary);
        if !filter.fits_but_for_outcome(summary, &names, paths) {
            continue;
        }
        let count = counts.entry(summary.outcome.into()).or_default();
        *count = count.saturating_add(1);
        if is_wanted {
            at = recorded.seq;
            items.push(inspector.rows.row(recorded, &names));
            if let Some((_, walk)) = &walk {
                walk.mark(summary, &names, paths);
            }
        } else if filter.wants(summary.outcome) {
            is_all = false;
            if !is_first {
                break;
            }
        }
    }
    let walk = walk.map(|(number, _)| number);
    // Without a walk it is not known which rows of the files the caller already has.
    let next = match (is_all, walk) {
        (false, _) => Some(Place::Remembered(at)),
        (true, Some(_)) => Some(Place::Files),
        (true, None) => None,
    };
    let done = next.is_none();
    let next = next.map(|place| Cursor { place, walk }.text(&inspector.rows));
    let mut page = json!({ "items": items, "next": next, "searched": null, "done": done });
    if let Some(page) = page.as_object_mut().filter(|_| is_first) {
        page.insert("counts".to_owned(), json!(counts));
        page.insert("last".to_owned(), json!(last));
    }
    json(&page)
}

/// The rows in the log files before a position, or before the border where the walk began.
async fn files(
    inspector: &Arc<Inspector>,
    filter: Filter,
    limit: usize,
    before: Option<Position>,
    walk: Option<(u64, Arc<Walk>)>,
) -> Result<Response, ApiError> {
    if let Some((_, walk)) = walk.as_ref().filter(|_| before.is_none()) {
        mark_newer(inspector, walk);
    }
    let (number, walk) = walk.unzip();
    let border = walk.as_ref().and_then(|walk| walk.border);
    let start = before.or(border);
    let source = &inspector.lookups.source;
    let shown = inspector.clone();
    let wanted = Wanted {
        chain: source.chain.clone(),
        horizon: (source.horizon)(),
        filter: filter.of_files(&inspector.rows.zone),
        start: start.map_or(SearchStart::Newest, SearchStart::Before),
        items: limit,
        item: Box::new(move |row| {
            let logged = Logged::of(row)?;
            let names = Names::logged(&logged);
            let zone = &shown.rows.zone;
            let has_it = || {
                walk.as_ref()
                    .is_some_and(|it| it.has(&logged, &names, zone))
            };
            let is_wanted = filter.fits_logged(&logged, &names) && !has_it();
            is_wanted.then(|| shown.rows.logged(&logged, &names))
        }),
    };
    let found = match inspector.searcher.search(wanted).await {
        Err(busy) if busy.status == StatusCode::SERVICE_UNAVAILABLE => {
            let mut response = busy.response();
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return Ok(response);
        }
        found => found?.ok_or_else(|| gone("the file that was searched is no longer there"))?,
    };
    let progress = found.progress;
    let until = progress
        .back_to
        .map(|time| time.rfc3339(&inspector.rows.zone));
    let next = found.next.map(|position| {
        let place = Place::At(position);
        let cursor = Cursor {
            place,
            walk: number,
        };
        cursor.text(&inspector.rows)
    });
    Ok(json(&json!({
        "items": found.items,
        "done": next.is_none(),
        "next": next,
        "searched": {
            "bytes": progress.bytes_newer.saturating_add(progress.bytes),
            "total": progress.bytes_newer.saturating_add(progress.bytes_total),
            "until": until,
        },
    })))
}

/// Marks requests that were answered while the walk began: the stream delivers them.
fn mark_newer(inspector: &Inspector, walk: &Walk) {
    let newer = inspector.endpoint.recent.after(walk.last);
    for recorded in newer.iter().take(NEWER_MAX) {
        let names = Names::of(&recorded.summary);
        walk.mark(&recorded.summary, &names, &inspector.rows.paths);
    }
}
