//! What `create` does about a topic or subscription that is there already: its attributes are read
//! back, compared with what was asked for, and changed if that is asked for and the service can do
//! it.
//!
//! The service's answer says that there is one with the same or with other attributes, never which.
//! So nothing is reported as in force that was not read back.

use clap::Args;
use serde_json::{Value, json};

use crate::client::ClientError;
use crate::command::client::service::{self, Output, one_line};

/// Whether a `create` is content with what is there already.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct IfThere {
    /// Do not fail if it is there already: read its attributes back, and end with 3 if they differ.
    ///
    /// An attribute without a default that is not given is not compared.
    #[arg(long)]
    if_not_exists: bool,
    /// Change the attributes that differ, as far as the service can: end with 3 only if others
    /// differ too.
    ///
    /// The service can change a topic's attributes, and NotifyStrategy and DlqPolicy of a
    /// subscription. For Endpoint, FilterTag and NotifyContentFormat the subscription must be
    /// deleted and created again; messages in between are lost.
    #[arg(long, requires = "if_not_exists")]
    apply: bool,
}

/// The same, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is an error, as for the manual's scripts.
    Refuse,
    /// It is compared.
    Compare,
    /// It is compared, and changed.
    Change,
}

/// An attribute that is not as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) attribute: &'static str,
    pub(crate) in_force: String,
    pub(crate) asked: String,
    pub(crate) change: Change,
}

/// Whether the service can change an attribute of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Possible,
    Impossible,
}

/// What is there differs from what was asked for, and the command leaves it so.
#[derive(Debug, thiserror::Error)]
#[error(
    "{what} already there, but not as asked for. {place}{}{advice}",
    lines(differences)
)]
pub(crate) struct DiffersError {
    /// `Topic` or `Subscription`.
    pub(crate) what: &'static str,
    /// Which one, as in `TopicName:T`.
    pub(crate) place: String,
    pub(crate) differences: Vec<Difference>,
    /// What to do, one line for each way, each behind a line feed.
    pub(crate) advice: String,
}

impl IfThere {
    pub(crate) fn decided(self) -> Existing {
        match (self.if_not_exists, self.apply) {
            (false, _) => Existing::Refuse,
            (true, false) => Existing::Compare,
            (true, true) => Existing::Change,
        }
    }
}

impl Existing {
    /// Fails because the attributes of what is there could not be read back; `script_line` is the
    /// manual's for it.
    pub(crate) fn fail_unread<T>(
        self,
        what: &str,
        script_line: &str,
        error: ClientError,
    ) -> anyhow::Result<T> {
        let line = match self {
            Self::Refuse => script_line.to_owned(),
            Self::Compare | Self::Change => format!("{what} already there."),
        };
        service::fail(
            format!("{line} Its attributes could not be read back."),
            error,
        )
    }
}

impl Difference {
    /// `None` if both are the same, byte for byte.
    pub(crate) fn between(
        attribute: &'static str,
        in_force: &impl ToString,
        asked: &impl ToString,
        change: Change,
    ) -> Option<Self> {
        let (in_force, asked) = (in_force.to_string(), asked.to_string());
        (in_force != asked).then_some(Self {
            attribute,
            in_force,
            asked,
            change,
        })
    }

    /// For `--output json`.
    pub(crate) fn json(all: &[Self]) -> Value {
        let all = all.iter().map(|difference| {
            json!({
                "Attribute": difference.attribute,
                "InForce": difference.in_force,
                "Asked": difference.asked,
            })
        });
        all.collect()
    }

    /// The names of those that can, or cannot, be changed.
    pub(crate) fn names(all: &[Self], change: Change) -> Vec<&'static str> {
        all.iter()
            .filter(|difference| difference.change == change)
            .map(|difference| difference.attribute)
            .collect()
    }
}

/// Those of `before` that are in force now.
pub(crate) fn gone(before: Vec<Difference>, now: &[Difference]) -> Vec<Difference> {
    let is_gone =
        |difference: &Difference| now.iter().all(|now| now.attribute != difference.attribute);
    before.into_iter().filter(is_gone).collect()
}

/// Prints what is in force: as one line and one more for each change, or as JSON. In text a
/// difference goes to stderr alone.
pub(crate) fn print(
    output: Output,
    what: &str,
    in_force: &str,
    changed: &[Difference],
    differing: &[Difference],
    object: &Value,
) -> anyhow::Result<()> {
    if output == Output::Text && changed.is_empty() && !differing.is_empty() {
        return Ok(());
    }
    let mut line = match changed {
        [] => format!("{what} already there. {in_force}"),
        [..] => format!("{what} already there, and changed. {in_force}"),
    };
    for Difference {
        attribute,
        in_force,
        asked,
        change: _,
    } in changed
    {
        line.push_str(&format!(
            "\n{attribute}: changed from {} to {}",
            or_none(&one_line(in_force)),
            or_none(asked)
        ));
    }
    service::print_done(output, &line, object)
}

/// One line for each difference, each behind a line feed: for an error, which is escaped where it
/// is printed.
pub(crate) fn lines(differences: &[Difference]) -> String {
    let line = |difference: &Difference| {
        let Difference {
            attribute,
            in_force,
            asked,
            change: _,
        } = difference;
        let in_force = in_force.replace('\n', "\\n");
        format!(
            "\n{attribute}: {} is in force, {} was asked for",
            or_none(&in_force),
            or_none(asked)
        )
    };
    differences.iter().map(line).collect()
}

fn or_none(value: &str) -> &str {
    if value.is_empty() { "none" } else { value }
}
