//! The notifications before a moment, newest first.

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
    let mut items = Vec::new();
    let mut next = None;
    for recorded in endpoint.recent.after(0).iter().rev() {
        if recorded.seq >= before {
            continue;
        }
        let names = Names::of(&recorded.summary);
        if filter.fits(&recorded.summary, &names, &inspector.rows.paths) {
            if items.len() >= limit {
                break;
            }
            next = Some(inspector.rows.id(recorded.seq));
            items.push(inspector.rows.row(recorded, &names));
        }
    }
    let done = items.len() < limit;
    Ok(json(&json!({
        "items": items,
        "next": next.filter(|_| !done),
        "done": done,
    })))
}
