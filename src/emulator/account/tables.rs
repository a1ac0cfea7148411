//! The tables of the account's database.
//!
//! Topics and subscriptions are stored as the documents of the API, so that each has only one form.

use redb::{Database, ReadableTable, TableDefinition};

use crate::emulator::account::error::AccountError;
use crate::mns::Element;

/// A topic's name → its `<Topic>`.
pub(super) const TOPICS: TableDefinition<'_, &str, &str> = TableDefinition::new("topics");
/// Topic, subscription → its `<Subscription>`.
pub(super) const SUBSCRIPTIONS: TableDefinition<'_, (&str, &str), &str> =
    TableDefinition::new("subscriptions");
/// A topic → the number of its next message.
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Topic, message number → id, tag, message, milliseconds since 1970.
pub(super) const MESSAGES: TableDefinition<'_, (&str, u64), (&str, &str, &str, u64)> =
    TableDefinition::new("messages");
/// Topic, message number → the subscriptions that do not have it yet.
// A count, because the deliveries of one message are spread over the keys of all subscriptions.
pub(super) const COPIES: TableDefinition<'_, (&str, u64), u32> = TableDefinition::new("copies");
/// Topic, subscription, due time of the next push in milliseconds since 1970, message number →
/// number of failed pushes.
// The due time precedes the number, so that a range is in the order in which pushes are due.
pub(super) const DELIVERIES: TableDefinition<'_, (&str, &str, u64, u64), u32> =
    TableDefinition::new("deliveries");

/// Creates missing tables. Only a write transaction can do that, and read transactions then need
/// not.
pub(super) fn make(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(TOPICS)?;
    transaction.open_table(SUBSCRIPTIONS)?;
    transaction.open_table(NUMBERS)?;
    transaction.open_table(MESSAGES)?;
    transaction.open_table(COPIES)?;
    transaction.open_table(DELIVERIES)?;
    Ok(transaction.commit()?)
}

/// Calls `each` with every subscription of a topic, in the order of their names.
pub(super) fn subscriptions_of(
    subscriptions: &impl ReadableTable<(&'static str, &'static str), &'static str>,
    topic: &str,
    mut each: impl FnMut(&str, &str) -> Result<(), AccountError>,
) -> Result<(), AccountError> {
    // The empty name sorts before every other one.
    for row in subscriptions.range((topic, "")..)? {
        let (key, document) = row?;
        let (of, name) = key.value();
        if of != topic {
            break;
        }
        each(name, document.value())?;
    }
    Ok(())
}

/// Reads a document that this account wrote.
pub(super) fn document<T, E: std::fmt::Display>(
    text: &str,
    read: impl FnOnce(&Element) -> Result<T, E>,
) -> Result<T, AccountError> {
    // Only this program writes these texts, so an unreadable one is damage and no client's mistake.
    let corrupted = |what: String| AccountError::Database(redb::Error::Corrupted(what));
    let element = Element::parse(text.as_bytes()).map_err(|error| corrupted(error.to_string()))?;
    read(&element).map_err(|error| corrupted(error.to_string()))
}
