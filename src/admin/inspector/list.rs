//! The notifications before a moment, newest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use http::Uri;
use serde_json::json;

use crate::admin::inspector::filter::{Filter, PARAMETERS};
use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::query::{Query, wrong};
use crate::admin::inspector::row::Names;
use crate::admin::respond::{ApiError, json};

/// Rows of one answer, at most and unless told.
const ROWS_MAX: usize = 200;
const ROWS: usize = 100;

/// `GET /api/notifications`.
pub(super) fn notifications(inspector: &Arc<Inspector>, uri: &Uri) -> Result<Response, ApiError> {
    let known = [&PARAMETERS[..], &["before", "limit"]].concat();
    let query = Query::of(uri, &known)?;
    let limit = query.parsed("limit")?.unwrap_or(ROWS);
    if limit == 0 || limit > ROWS_MAX {
        return Err(wrong(format!("limit is from 1 to {ROWS_MAX}")));
    }
    let before = query.get("before").map(|id| {
        let seq = inspector.rows.seq(id);
        seq.ok_or_else(|| wrong("before is the id of no row"))
    });
    let before = before.transpose()?.unwrap_or(u64::MAX);
    let endpoint = &inspector.endpoint;
    let filter = Filter::of(&query, endpoint.clock.now(), &inspector.rows.zone)?;
    let is_first = before == u64::MAX;
    let remembered = endpoint.recent.after(0);
    let last = remembered.last().map_or(0, |recorded| recorded.seq);
    let (mut items, mut next, mut done) = (Vec::new(), None, true);
    let mut counts = BTreeMap::<&str, u64>::new();
    for recorded in remembered.iter().rev() {
        if recorded.seq >= before {
            continue;
        }
        let summary = &recorded.summary;
        let is_wanted = filter.wants(summary.outcome) && items.len() < limit;
        // The first page counts all that fit, of whichever outcome.
        if !is_wanted && !is_first && items.len() < limit {
            continue;
        }
        let names = Names::of(summary);
        if !filter.fits_but_for_outcome(summary, &names, &inspector.rows.paths) {
            continue;
        }
        let count = counts.entry(summary.outcome.into()).or_default();
        *count = count.saturating_add(1);
        if is_wanted {
            next = Some(inspector.rows.id(recorded.seq));
            items.push(inspector.rows.row(recorded, &names));
        } else if filter.wants(summary.outcome) {
            done = false;
            if !is_first {
                break;
            }
        }
    }
    let mut page = json!({ "items": items, "next": next.filter(|_| !done), "done": done });
    if let Some(page) = page.as_object_mut().filter(|_| is_first) {
        page.insert("counts".to_owned(), json!(counts));
        page.insert("last".to_owned(), json!(last));
    }
    Ok(json(&page))
}
