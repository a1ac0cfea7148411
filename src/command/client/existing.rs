//! How `create` treats an existing topic or subscription: it reads the attributes back, compares
//! them with the requested ones and, on request, changes those that the service can change.
//!
//! The service's answer only says whether one exists with the same or with other attributes, not
//! which. So an attribute is only reported as in force after it was read back.

use clap::Args;
use serde_json::{Value, json};

use crate::client::ClientError;
use crate::command::client::service::{self, Output, one_line};

/// Whether a `create` is content with what is there already.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct IfThere {
    /// If the name exists already, compare the attributes, and exit with 3 if they differ, instead
    /// of with 1.
    ///
    /// In topic create, an attribute is compared only if its option is given. In subscription
    /// create, that holds for --dlq. The other attributes of a subscription are always compared,
    /// with the defaults of the options that are not given.
    #[arg(long)]
    if_not_exists: bool,
    /// Of the attributes that differ, change those that the service can change. Exit with 3 only
    /// if an attribute still differs after that.
    ///
    /// The service can change a topic's attributes, and NotifyStrategy and DlqPolicy of a
    /// subscription. To change Endpoint, FilterTag or NotifyContentFormat, the subscription must be
    /// deleted and created again; messages published in between are lost.
    #[arg(long, requires = "if_not_exists")]
    apply: bool,
}

/// The same as one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// An error, as for the manual's scripts.
    Refuse,
    /// It is compared.
    Compare,
    /// It is compared and changed.
    Change,
}

/// An attribute that differs from the requested one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) attribute: &'static str,
    pub(crate) in_force: String,
    pub(crate) asked: String,
    pub(crate) change: Change,
}

/// Whether the service can change an attribute of an existing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Possible,
    Impossible,
}

/// The existing object differs from the requested one, and the command leaves it unchanged.
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
    /// What to do, one line for each alternative, each after a line feed.
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
    /// Fails because the attributes of the existing object could not be read back. `script_line` is
    /// the manual's line for that.
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
    /// `None` if the two values are identical.
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

    /// Formats the differences for `--output json`.
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

    /// The names of the attributes that can, or cannot, be changed.
    pub(crate) fn names(all: &[Self], change: Change) -> Vec<&'static str> {
        all.iter()
            .filter(|difference| difference.change == change)
            .map(|difference| difference.attribute)
            .collect()
    }
}

/// The differences of `before` that do not exist any more.
pub(crate) fn gone(before: Vec<Difference>, now: &[Difference]) -> Vec<Difference> {
    let is_gone =
        |difference: &Difference| now.iter().all(|now| now.attribute != difference.attribute);
    before.into_iter().filter(is_gone).collect()
}

/// Prints what is in force: a line and one more for each change, or JSON. In text a difference only
/// goes to stderr.
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

/// One line for each difference, each after a line feed. The error that contains them is escaped
/// when it is printed.
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
