//! What the page asks for, by path.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;

use crate::admin::inspector::About;
use crate::admin::respond::{ApiError, json};
use crate::admin::routes::Api;

/// Where the answers below `/api/` come from.
pub struct Inspector {
    /// What the endpoint is.
    pub about: About,
}

impl Inspector {
    #[expect(clippy::unused_async, reason = "a search and a replay wait")]
    pub(in crate::admin) async fn answer(
        &self,
        api: Api,
        request: Request,
    ) -> Result<Response, ApiError> {
        match api {
            Api::About => {
                demand_no_parameters(&request)?;
                Ok(json(&self.about.json()))
            }
        }
    }
}

fn demand_no_parameters(request: &Request) -> Result<(), ApiError> {
    match request.uri().query() {
        None | Some("") => Ok(()),
        Some(_) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "parameter_unknown",
            "This path takes no parameters",
        )),
    }
}
