//! The sentences of `explain` that depend on more than one check, so that they never contradict
//! each other.

use std::time::SystemTime;

use strum::IntoEnumIterator as _;

use crate::explain::cause::Finding;
use crate::server::Reason;
use crate::span::Span;

/// What to do about a refused check. `is_proved`: signature and digest match, so MNS sent this
/// body.
pub(super) fn hint(reason: Reason, is_proved: bool) -> &'static str {
    match reason {
        Reason::SignatureWrong => "forged, or changed on the way: what is most likely comes last",
        Reason::BodyNotRecognised
        | Reason::BodyMalformed
        | Reason::BodyNotUtf8
        | Reason::DocumentType
        | Reason::ElementMissing
        | Reason::ElementDoubled
            // The usual hints for a body assume that MNS sent it, which a forger can claim.
            if !is_proved =>
        {
            "nothing proves that MNS sent this body: signature and content-md5 must match first"
        }
        other => other.hint(),
    }
}

pub(super) fn clock_is_off(date: SystemTime, now: SystemTime) -> Finding {
    let apart = now
        .duration_since(date)
        .unwrap_or_else(|ahead| ahead.duration());
    Finding::ClockOff {
        date: humantime::format_rfc3339_seconds(date).to_string(),
        now: humantime::format_rfc3339_seconds(now).to_string(),
        apart: Span(apart).to_string(),
    }
}

pub(super) fn body_is_another(captured_bytes: usize) -> Finding {
    match captured_bytes {
        0 => Finding::BodyMissing,
        bytes => Finding::BodyChanged { bytes },
    }
}

/// Explains a difference between the key `noted` in the capture's note and the verdict's key
/// `found`, which is `None` if the request would be accepted.
pub(crate) fn differs(noted: &str, found: Option<&str>) -> Option<String> {
    if found == Some(noted) {
        return None;
    }
    let why = match Reason::iter().find(|reason| reason.key() == noted) {
        Some(reason) if reason.is_passing() => {
            "that was the state of serve or of its surroundings then, not the request"
        }
        Some(_) if found == Some(Reason::CertificateUnavailable.key()) => {
            "without a certificate the signature could not be checked here"
        }
        Some(_) => "the configuration, the certificate or the version is another than it was then",
        None => "this version has no such reason",
    };
    Some(format!(
        "The note in the capture has another reason, {noted}: {why}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hint_of_explain_names_explain_and_none_says_that_an_unproved_body_is_mns_s() {
        for reason in Reason::iter() {
            assert!(!hint(reason, false).contains("explain"), "{reason:?}");
            assert!(
                !hint(reason, false).contains("the signature matches"),
                "{reason:?}"
            );
        }
        assert!(hint(Reason::BodyMalformed, true).contains("the signature matches"));
    }

    #[test]
    fn a_note_with_the_same_key_needs_no_explanation() {
        assert_eq!(differs("signature_wrong", Some("signature_wrong")), None);
        for (noted, found, why) in [
            ("owner_not_accepted", None, "the configuration"),
            (
                "signature_wrong",
                Some("certificate_unavailable"),
                "without a certificate",
            ),
            ("journal_full", None, "the state of serve"),
            (
                "of_another_version",
                Some("date_too_old"),
                "this version has no such reason",
            ),
        ] {
            let sentence = differs(noted, found).unwrap();
            assert!(
                sentence.contains(noted) && sentence.contains(why),
                "{sentence}"
            );
        }
    }
}
