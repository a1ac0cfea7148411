//! The outcome of each check as `explain` shows it, and the verdict that they come to.

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use bytes::Bytes;
use http::Request;

use crate::config::Config;
use crate::explain::story::{body_is_another, clock_is_off, differs, hint};
use crate::journal::escaped;
use crate::mns::Notification;
use crate::quarantine::Note;
use crate::report::Report;
use crate::server::Rejection;
use crate::trust::{Timeliness, Untrusted};

const NOT_THE_MD5: &str = ", MessageMD5 is not the MD5 of the message, which is normal if the \
    publisher set user properties";

/// The outcomes of the checks. The first refusal decides, as in serve; the others are shown all
/// the same.
pub(super) struct Verdicts<'o, W> {
    pub(super) out: &'o mut W,
    decisive: Option<(&'static str, u16)>,
    /// What most likely broke, as sentences without their full stop.
    pub(super) causes: Vec<String>,
    /// Whether signature and digest match, so that MNS sent this body.
    pub(super) is_proved: bool,
}

impl<'o, W: Write> Verdicts<'o, W> {
    pub(super) fn new(out: &'o mut W) -> Self {
        Self {
            out,
            decisive: None,
            causes: Vec::new(),
            is_proved: false,
        }
    }

    pub(super) fn date(
        &mut self,
        name: &str,
        checked: Result<Timeliness, Untrusted>,
        date: SystemTime,
        now: SystemTime,
    ) -> anyhow::Result<()> {
        if checked.is_err() {
            self.causes.push(clock_is_off(date, now));
        }
        let shown = checked.map(|timeliness| with_timeliness(date, timeliness));
        self.add(name, shown.map_err(Rejection::from))
    }

    pub(super) fn content_md5(
        &mut self,
        name: &str,
        checked: Result<(), Untrusted>,
        body_bytes: usize,
    ) -> anyhow::Result<()> {
        if checked == Err(Untrusted::ContentMd5Mismatch) {
            self.causes.push(body_is_another(body_bytes));
        }
        self.add(
            name,
            checked.map(|()| String::new()).map_err(Rejection::from),
        )
    }

    /// Shows the outcome of one check.
    pub(super) fn add(
        &mut self,
        name: &str,
        outcome: Result<String, Rejection>,
    ) -> anyhow::Result<()> {
        match outcome {
            Ok(detail) => writeln!(
                self.out,
                "{}",
                format!("{name:<13} ok       {detail}").trim_end()
            )?,
            Err(rejection) => {
                let reason = rejection.reason();
                writeln!(
                    self.out,
                    "{name:<13} REFUSED  {}: {}",
                    reason.key(),
                    escaped(Report(&rejection).to_string().as_bytes())
                )?;
                writeln!(
                    self.out,
                    "{:<13}          {}",
                    "",
                    hint(reason, self.is_proved)
                )?;
                self.decisive
                    .get_or_insert((reason.key(), rejection.status()));
            }
        }
        Ok(())
    }

    /// Shows that a check cannot be made.
    pub(super) fn unknown(&mut self, name: &str, why: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{name:<13} UNKNOWN  {}", escaped(why.as_bytes()))?;
        self.decisive
            .get_or_insert(("certificate_unavailable", 503));
        Ok(())
    }

    pub(super) fn check_head(
        &mut self,
        config: &Config,
        request: &Request<Bytes>,
    ) -> anyhow::Result<()> {
        let checked = config.server.check_head(request);
        let name = match &checked {
            Err(Rejection::MethodNotAllowed) => "method",
            Err(Rejection::ContentEncoding) => "encoding",
            Err(Rejection::BodyTooLarge) => "size",
            Ok(()) | Err(_) => "path",
        };
        self.add(name, checked.map(|()| String::new()))
    }

    pub(super) fn check_notification(
        &mut self,
        config: &Config,
        request: &Request<Bytes>,
        note: Option<&Note>,
    ) -> anyhow::Result<()> {
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
        )?;
        let admitted = match note {
            Some(note) => {
                // A proxy that was named since is seen through.
                let client = config.trusted_proxies.client(note.peer, request.headers());
                config.admission.admit(notification, client.ip())
            }
            None => config.admission.admit_from_anywhere(notification),
        };
        self.add(
            "admission",
            admitted.map(|_| String::new()).map_err(Rejection::from),
        )
    }

    /// Says what serve would answer, and why most likely.
    pub(super) fn conclude(self, note: Option<&Note>) -> anyhow::Result<ExitCode> {
        match self.decisive {
            None => writeln!(
                self.out,
                "Verdict: serve would accept it, as far as the request itself goes."
            )?,
            Some((key @ "certificate_unavailable", status)) => {
                let unless = "unless it has the certificate or can fetch it";
                writeln!(
                    self.out,
                    "Verdict: serve would answer {status} ({key}), {unless}."
                )?;
            }
            Some((key, status)) => {
                writeln!(self.out, "Verdict: serve would answer {status} ({key}).")?
            }
        }
        if let Some(sentence) =
            note.and_then(|note| differs(&note.reason, self.decisive.map(|(key, _)| key)))
        {
            writeln!(self.out, "{}", escaped(sentence.as_bytes()))?;
        }
        if self.decisive.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
        for cause in self.causes {
            writeln!(self.out, "Most likely:  {}.", escaped(cause.as_bytes()))?;
        }
        Ok(ExitCode::FAILURE)
    }
}

fn with_timeliness(date: SystemTime, timeliness: Timeliness) -> String {
    let date = httpdate::fmt_http_date(date);
    match timeliness {
        Timeliness::Prompt => date,
        Timeliness::Late => format!("{date}, late"),
    }
}
