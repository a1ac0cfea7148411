//! Repeats the checks of one request as of its arrival, as `explain` does. Fetches no certificates.

use std::convert::Infallible;

use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::known::Known;
use crate::admin::inspector::request::text_or_base64;
use crate::admin::respond::{self, ApiError};
use crate::explain::{Checked, Finding, Judge, Judgement, Outcome};
use crate::mns::SigningCertUrl;
use crate::server::Paths;

/// `GET /api/notifications/ID/checks`.
pub(super) async fn checks(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let known = Known::find(inspector, id).await?;
    let paths = &inspector.rows.paths;
    let Some(judgement) = judge(inspector, &known).await else {
        return Ok(respond::json(&not_judged(&known, paths)));
    };
    let decisive = judgement.decisive;
    let is_unknown = |checked: &Checked| matches!(checked.outcome, Outcome::Unknown(_));
    let verdict = match decisive {
        // Report the original answer: a check that cannot be repeated here proves nothing.
        _ if judgement.checks.iter().any(is_unknown) => answered(&known),
        Some((reason, status)) => json!({ "status": status, "reason": reason }),
        None => json!({ "status": 201, "reason": null }),
    };
    let causes = judgement.causes.iter().filter(|_| decisive.is_some());
    let findings = causes.flat_map(|cause| cause.findings());
    let causes: Vec<Value> = findings.map(|finding| cause(paths, finding)).collect();
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
        "left_out": null,
    })))
}

/// The answer for a request that is only partly logged. It is not judged, because a part of a body
/// would fail like a wrong body.
fn not_judged(known: &Known, paths: &Paths) -> Value {
    let left_out: Option<&str> = known.left_out.map(Into::into);
    let string_to_sign = known.string_to_sign.as_deref();
    json!({
        "checks": [],
        "string_to_sign": string_to_sign.map(|text| shown(paths, text)),
        "verdict": answered(known),
        "causes": [],
        "left_out": left_out,
    })
}

fn answered(known: &Known) -> Value {
    let (status, reason) = &known.verdict;
    json!({ "status": status, "reason": reason })
}

/// Returns `None` if the request is not complete.
async fn judge(inspector: &Inspector, known: &Known) -> Option<Judgement> {
    let mut judgement = Judgement::default();
    let request = known.request()?;
    let gate = inspector.endpoint.gate.load_full();
    let (policy, prefixes) = gate.verifier.judges_by();
    let judge = Judge {
        settings: &inspector.endpoint.settings,
        policy,
        prefixes,
        admission: &gate.admission,
        now: known.came,
        client: known.peer,
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
        Ok(()) => Some(judgement),
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

/// The page has its own sentence for each key, in each language. The text is for others.
fn cause(paths: &Paths, finding: &Finding) -> Value {
    let values = finding.values().into_iter();
    let params: Map<String, Value> = values
        .map(|(name, value)| (name.to_owned(), shown(paths, value.as_bytes())))
        .collect();
    json!({
        "key": finding.key(),
        "params": params,
        "text": shown(paths, finding.to_string().as_bytes()),
    })
}

fn shown(paths: &Paths, text: &[u8]) -> Value {
    text_or_base64(&paths.hide(text))
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;
    use crate::explain::Respelling;

    #[test]
    fn the_page_has_a_sentence_for_each_cause_with_all_of_its_values() {
        for texts in [
            include_str!("page/i18n/en.js"),
            include_str!("page/i18n/zh.js"),
        ] {
            let (_, causes) = texts.split_once("\n  causes: {\n").unwrap();
            let (causes, _) = causes.split_once("\n  },\n").unwrap();
            for finding in Finding::iter() {
                let begins = format!("    {}: (", finding.key());
                let (_, sentence) = causes.split_once(&begins).expect(&begins);
                let sentence = sentence.split("\n    ").take_while(|line| {
                    let is_next = !line.starts_with(' ') && line.contains(": (");
                    !is_next
                });
                let sentence: String = sentence.collect();
                for (name, _) in finding.values() {
                    assert!(sentence.contains(&format!("p.{name}}}")), "{begins} {name}");
                }
            }
            let (_, respellings) = texts.split_once("\n  respellings: {\n").unwrap();
            for change in Respelling::iter() {
                let begins = format!("    {}: '", change.key());
                assert!(respellings.contains(&begins), "{begins}");
            }
        }
    }
}
