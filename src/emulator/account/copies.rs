//! How many subscriptions still wait for a message. After the last one the message is deleted.

use redb::{ReadableTable as _, WriteTransaction};

use crate::emulator::account::error::AccountError;
use crate::emulator::account::tables::{COPIES, MESSAGES};

/// Counts one subscription less, and deletes the message after the last one.
pub(super) fn drop_one(
    transaction: &WriteTransaction,
    topic: &str,
    number: u64,
) -> Result<(), AccountError> {
    let row = (topic, number);
    let mut copies = transaction.open_table(COPIES)?;
    // A missing count is treated as the last copy, so that no message stays in the database for
    // ever.
    let left = copies
        .get(row)?
        .map_or(0, |copies| copies.value())
        .saturating_sub(1);
    if left > 0 {
        copies.insert(row, left)?;
        return Ok(());
    }
    copies.remove(row)?;
    transaction.open_table(MESSAGES)?.remove(row)?;
    Ok(())
}
