//! Routes the requests of the page below `/api/`.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use serde_json::json;

use crate::admin::inspector::checks::checks;
use crate::admin::inspector::detail::{self, detail, message};
use crate::admin::inspector::forwarding::forwarding;
use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::list::notifications;
use crate::admin::inspector::query::Query;
use crate::admin::inspector::replay::replay;
use crate::admin::inspector::stream::stream;
use crate::admin::inspector::subscriptions::subscriptions;
use crate::admin::respond::{self, ApiError};
use crate::admin::routes::Api;

/// Answers a caller whose token is right.
pub(in crate::admin) async fn answer(
    inspector: &Arc<Inspector>,
    api: &Api<'_>,
    request: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let uri = &request.uri;
    match api {
        Api::About => {
            Query::of(uri, &[])?;
            let mut about = inspector.about.json();
            if let Some(about) = about.as_object_mut() {
                about.insert("streams".to_owned(), json!(inspector.streams.open()));
            }
            Ok(respond::json(&about))
        }
        Api::Hour => {
            Query::of(uri, &[])?;
            Ok(respond::json(&json!({
                "now": inspector.rows.time(inspector.endpoint.clock.now()),
                "minutes": inspector.hour.minutes(&inspector.endpoint.counts),
                "subscriptions": subscriptions(&inspector.endpoint),
            })))
        }
        Api::Forwarding => {
            Query::of(uri, &[])?;
            Ok(respond::json(&forwarding(inspector)))
        }
        Api::Stream => stream(inspector, uri),
        Api::Notifications => notifications(inspector, uri).await,
        Api::Replay => replay(inspector, request, body).await,
        Api::Notification(id) => {
            Query::of(uri, &[])?;
            detail(inspector, id).await
        }
        Api::Checks(id) => {
            Query::of(uri, &[])?;
            checks(inspector, id).await
        }
        Api::Request(id) => {
            Query::of(uri, &[])?;
            detail::request(inspector, id).await
        }
        Api::Message(id) => {
            Query::of(uri, &[])?;
            message(inspector, id).await
        }
    }
}
