//! The outcome of each check of a request, and the most likely cause of a failure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::Request;

use crate::explain::cause::{Cause, Finding};
use crate::explain::search::{self, Search};
use crate::explain::story::{body_is_another, clock_is_off, hint};
use crate::journal::escaped;
use crate::mns::{ContentMd5, Notification, Prefixes, SignedRequest, SigningCertUrl};
use crate::report::Report;
use crate::server::{Paths, Reason, Rejection, Settings};
use crate::trust::{
    Admission, Check, Checks, Policy, SignatureCheck, SigningCertificate, Timeliness, Untrusted,
};

const NOT_THE_MD5: &str = ", MessageMD5 is not the MD5 of the message, which is normal if the \
    publisher set user properties";

/// The configuration and the facts by which a request is judged.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'c> {
    pub(crate) settings: &'c Settings,
    pub(crate) policy: &'c Policy,
    pub(crate) prefixes: &'c Prefixes,
    pub(crate) admission: &'c Admission,
    /// The time against which its date is checked.
    pub(crate) now: SystemTime,
    /// Its sender, if known.
    pub(crate) client: Option<IpAddr>,
    /// Prefixes that a proxy may have removed from the path.
    pub(crate) cut_off: &'c [String],
}

/// A certificate for the check and its origin, or the reason why none was found.
pub(crate) type Certificate = Result<(Arc<SigningCertificate>, String), String>;

/// A check and its outcome.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
}

/// The outcome of a check.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Passed, with what was found; empty if there is nothing to add.
    Ok(String),
    /// Refused: what is wrong, and what to do.
    Refused {
        reason: Reason,
        text: String,
        hint: &'static str,
    },
    /// The check could not be made, and why.
    Unknown(String),
}

/// The outcomes of all checks. The first refusal decides, as in serve; the other checks are made
/// nevertheless.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) checks: Vec<Checked>,
    /// The key and the status of the first refusal.
    pub(crate) decisive: Option<(&'static str, u16)>,
    /// The most likely causes.
    pub(crate) causes: Vec<Cause>,
    /// The string to sign, as computed here.
    pub(crate) string_to_sign: Option<Vec<u8>>,
    /// Whether signature and digest match, which means that MNS sent this body.
    is_proved: bool,
}

impl Judgement {
    /// Makes each check that serve makes. Calls `certificate` if the checks get that far.
    ///
    /// # Errors
    /// That of `certificate`. The outcomes before it stay.
    pub(crate) async fn judge<E>(
        &mut self,
        judge: Judge<'_>,
        request: &Request<Bytes>,
        certificate: impl AsyncFnOnce(Option<&SigningCertUrl>) -> Result<Certificate, E>,
    ) -> Result<(), E> {
        self.check_head(judge.settings, request);
        let signed = match SignedRequest::of(request) {
            Ok(signed) => signed,
            Err(defect) => {
                // The other checks need these headers, so none of them can be made.
                self.add("headers", Err(Rejection::Untrusted(defect.into())));
                return Ok(());
            }
        };
        self.add("headers", Ok(String::new()));
        // Taken by the signature check. The compiler cannot see that there is only one.
        let mut certificate = Some(certificate);
        for (name, check) in Checks::new(judge.policy, judge.prefixes, &signed, judge.now) {
            let name = name.into();
            match check {
                Check::Date(date) => self.check_date(name, date, signed.date(), judge.now),
                Check::ContentMd5(body) => self.check_content_md5(name, body, request.body().len()),
                Check::Address(address) => {
                    let shown = escaped(signed.certificate_address());
                    self.add(name, address.map(|()| shown).map_err(Rejection::from));
                }
                Check::Signature(signature) => {
                    let url = signature.address.as_ref().ok();
                    let Some(certificate) = certificate.take() else {
                        continue;
                    };
                    match certificate(url).await? {
                        Ok(found) => self.check_signature(judge, &signed, name, &signature, &found),
                        Err(why) => self.add_unknown(name, why),
                    }
                }
            }
        }
        self.check_notification(judge, request);
        self.string_to_sign = Some(signed.string_to_sign());
        Ok(())
    }

    fn add(&mut self, name: &'static str, outcome: Result<String, Rejection>) {
        let outcome = match outcome {
            Ok(detail) => Outcome::Ok(detail),
            Err(rejection) => {
                let reason = rejection.reason();
                // The first refusal decides, as it does in serve.
                self.decisive
                    .get_or_insert((reason.key(), rejection.status()));
                Outcome::Refused {
                    reason,
                    text: Report(&rejection).to_string(),
                    hint: hint(reason, self.is_proved),
                }
            }
        };
        self.checks.push(Checked { name, outcome });
    }

    fn add_unknown(&mut self, name: &'static str, why: String) {
        self.decisive
            // In this case serve answers 503, so that MNS pushes again.
            .get_or_insert(("certificate_unavailable", 503));
        let outcome = Outcome::Unknown(why);
        self.checks.push(Checked { name, outcome });
    }

    fn check_head(&mut self, settings: &Settings, request: &Request<Bytes>) {
        let checked = settings.check_head(request);
        // One name for all checks of the head, because `check_head` reports only the first failure.
        let name = match &checked {
            Err(Rejection::MethodNotAllowed) => "method",
            Err(Rejection::ContentEncoding) => "encoding",
            Err(Rejection::BodyTooLarge) => "size",
            Ok(()) | Err(_) => "path",
        };
        self.add(name, checked.map(|()| String::new()));
    }

    fn check_date(
        &mut self,
        name: &'static str,
        checked: Result<Timeliness, Untrusted>,
        date: SystemTime,
        now: SystemTime,
    ) {
        if checked.is_err() {
            self.causes.push(clock_is_off(date, now).into());
        }
        let shown = checked.map(|timeliness| with_timeliness(date, timeliness));
        self.add(name, shown.map_err(Rejection::from));
    }

    fn check_content_md5(
        &mut self,
        name: &'static str,
        checked: Result<(), Untrusted>,
        body_bytes: usize,
    ) {
        if checked == Err(Untrusted::ContentMd5Mismatch) {
            self.causes.push(body_is_another(body_bytes).into());
        }
        self.add(
            name,
            checked.map(|()| String::new()).map_err(Rejection::from),
        );
    }

    /// Compares the signature. If it is wrong, searches for the change that explains it.
    fn check_signature(
        &mut self,
        judge: Judge<'_>,
        signed: &SignedRequest<'_>,
        name: &'static str,
        check: &SignatureCheck<'_, '_>,
        (certificate, origin): &(Arc<SigningCertificate>, String),
    ) {
        let (bits, origin) = (certificate.key_bits(), escaped(origin.as_bytes()));
        if check.matches(certificate) {
            // Only a digest that was signed proves the body.
            let has_digest = signed.content_md5() == Some(ContentMd5::of(signed.request().body()));
            self.is_proved = has_digest;
            let key = check.check_key(certificate);
            let fits = key.map(|()| format!("under a key of {bits} bits from {origin}"));
            return self.add(name, fits.map_err(Rejection::from));
        }
        let served = match &judge.settings.paths {
            Paths::These(paths) => paths.as_slice(),
            // A secret path must not appear in a cause, which the page shows.
            Paths::Any | Paths::Secret(_) => &[],
        };
        let cause = match search::find(signed, certificate, judge.cut_off, served) {
            Search::Found(cause) => cause,
            Search::Nothing => Finding::Unexplained { bits, origin }.into(),
            Search::LeftOut => Finding::NotAllTried { bits, origin }.into(),
        };
        self.causes.push(cause);
        self.add(name, Err(Untrusted::SignatureWrong.into()));
    }

    fn check_notification(&mut self, judge: Judge<'_>, request: &Request<Bytes>) {
        // Decoded without a proof of the signature: the result is shown and acknowledged to nobody.
        let notification = match Notification::decode(request) {
            Ok(notification) => notification,
            Err(error) => return self.add("notification", Err(error.into())),
        };
        let topic = format!(
            "topic {} of {}",
            escaped(&notification.topic_name),
            escaped(&notification.topic_owner)
        );
        let (format, message) = (notification.format, escaped(&notification.message_id));
        let md5 = if notification.message_md5_holds() {
            ""
        } else {
            NOT_THE_MD5
        };
        self.add(
            "notification",
            Ok(format!("{format}, {topic}, message {message}{md5}")),
        );
        let admitted = match judge.client {
            Some(client) => judge.admission.admit(notification, client),
            // A capture need not name the sender, and its absence is no reason to refuse.
            None => judge.admission.admit_from_anywhere(notification),
        };
        self.add(
            "admission",
            admitted.map(|_| String::new()).map_err(Rejection::from),
        );
    }
}

fn with_timeliness(date: SystemTime, timeliness: Timeliness) -> String {
    let date = httpdate::fmt_http_date(date);
    match timeliness {
        Timeliness::Prompt => date,
        Timeliness::Late => format!("{date}, late"),
    }
}
