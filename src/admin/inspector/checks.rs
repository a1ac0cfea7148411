//! The checks of one request, made again as of its arrival: what `explain` says of it. Nothing is
//! fetched for them.

use std::convert::Infallible;
use std::time::SystemTime;

use axum::response::Response;
use serde_json::{Value, json};

use crate::admin::inspector::detail::find;
use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::request::{judged, text_or_base64};
use crate::admin::respond::{self, ApiError};
use crate::explain::{Checked, Judge, Judgement, Outcome};
use crate::mns::SigningCertUrl;
use crate::server::{Paths, Summary};

/// `GET /api/notifications/ID/checks`.
pub(super) async fn checks(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let recorded = find(inspector, id)?;
    let judgement = judge(inspector, &recorded.summary).await;
    let paths = &inspector.rows.paths;
    let decisive = judgement.decisive;
    let verdict = decisive.map_or_else(
        || json!({ "status": 201, "reason": null }),
        |(reason, status)| json!({ "status": status, "reason": reason }),
    );
    let causes = judgement.causes.iter().filter(|_| decisive.is_some());
    let causes: Vec<Value> = causes.map(|text| shown(paths, text.as_bytes())).collect();
    let checks: Vec<Value> = judgement
        .checks
        .iter()
        .map(|checked| check(paths, checked))
        .collect();
    let string_to_sign = judgement.string_to_sign.as_deref();
    Ok(respond::json(&json!({
        "checks": checks,
        "string_to_sign": string_to_sign.map(|text| shown(paths, text)),
        "verdict": verdict,
        "causes": causes,
    })))
}

async fn judge(inspector: &Inspector, summary: &Summary) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(request) = judged(summary) else {
        return judgement;
    };
    let gate = inspector.endpoint.gate.load_full();
    let (policy, prefixes) = gate.verifier.judges_by();
    let now: SystemTime = summary.came;
    let judge = Judge {
        settings: &inspector.endpoint.settings,
        policy,
        prefixes,
        admission: &gate.admission,
        now,
        client: Some(summary.peer.ip()),
        cut_off: &[],
    };
    let certificate = async |url: Option<&SigningCertUrl>| {
        let cached = url.and_then(|url| Some((url, gate.verifier.cached(url)?)));
        Ok::<_, Infallible>(match cached {
            Some((url, certificate)) => Ok((certificate, url.to_string())),
            None => Err("its certificate is not cached".to_owned()),
        })
    };
    match judgement.judge(judge, &request, certificate).await {
        Ok(()) => judgement,
        Err(never) => match never {},
    }
}

fn check(paths: &Paths, Checked { name, outcome }: &Checked) -> Value {
    let (verdict, reason, detail) = match outcome {
        Outcome::Ok(detail) => ("ok", None, detail.as_str()),
        Outcome::Refused { reason, text, .. } => ("refused", Some(reason.key()), text.as_str()),
        Outcome::Unknown(why) => ("unknown", None, why.as_str()),
    };
    json!({
        "name": name,
        "verdict": verdict,
        "reason": reason,
        "detail": shown(paths, detail.as_bytes()),
    })
}

fn shown(paths: &Paths, text: &[u8]) -> Value {
    text_or_base64(&paths.hide(text))
}
