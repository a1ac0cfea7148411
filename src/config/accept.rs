//! The keys that decide whose pushes are meant for us: account ids and topics.

use crate::config::checks::{check_networks, is_name};
use crate::config::error::impossible;
use crate::config::{ConfigError, raw};
use crate::trust::Admission;

const OWNERS: &str = "accept.topic_owners";
/// The end of each message about an owner.
const WANTED: &str = "an owner is an account id, digits only, as in 1269128356620446";

/// Checks which pushes are meant for us. A mistake here would refuse every push, each with a 403
/// that MNS retries for a day, so it stops the start instead.
pub(super) fn check(accept: raw::Accept) -> Result<Admission, ConfigError> {
    if accept.require_owner && accept.topic_owners.0.is_empty() {
        let problem =
            "accept.topic_owners is empty: name the accounts whose topics you subscribed to";
        return Err(impossible("accept.require_owner", "true", problem));
    }
    if let Some(owner) = accept.topic_owners.0.iter().find(|owner| !is_owner(owner)) {
        return Err(impossible(
            OWNERS,
            owner,
            &format!("{}; {WANTED}", likely_cause(owner)),
        ));
    }
    // MNS allows fewer characters. Names that it may allow later must not stop a start, so only
    // what cannot be a name at all is refused.
    match accept.topics.0.iter().find(|topic| !is_name(topic)) {
        Some(topic) => {
            let allowed = "a topic's name has only letters, digits, - and _; write an entry for \
                each topic, or leave the list empty for all topics";
            Err(impossible("accept.topics", topic, allowed))
        }
        None => Ok(Admission::new(
            accept.topic_owners.0,
            accept.topics.0,
            check_networks("accept.sources", &accept.sources.0)?,
        )),
    }
}

fn is_owner(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The likely reason why such a text is written where digits are expected.
fn likely_cause(text: &str) -> &'static str {
    let is_digit_or = |others: &str| {
        text.chars()
            .all(|letter| letter.is_ascii_digit() || others.contains(letter))
    };
    let has_point_or_exponent = text.contains(['.', 'e', 'E']);
    // From the most specific text to the least: the last arm is for everything else.
    match text {
        _ if text.starts_with("LTAI") => {
            "this is the id of an AccessKey; the console shows the id of its account"
        }
        _ if text.contains('@') => {
            "this is an e-mail address; the console shows the id of its account"
        }
        _ if has_point_or_exponent && text.parse::<f64>().is_ok() => {
            "a program has written the number in float notation, as Helm does with an id without \
             quotes: quote it there"
        }
        _ if text
            .trim_start_matches(['+', '-'])
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_') =>
        {
            "write the digits alone, without a sign or underscores"
        }
        _ if text.contains(['"', '\'']) => "there are quotes within it; write the digits alone",
        _ if text.starts_with("acs:") => "this is an ARN; the id of its account is enough",
        _ if is_digit_or(";|/: \t\n,") => "write an entry for each account",
        // For example full-width digits from a Chinese input method.
        _ if text.chars().all(char::is_numeric) => "these are other digits than 0 to 9",
        _ => "this looks like a placeholder",
    }
}
