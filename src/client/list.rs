//! A list of the API, read page by page until its end or a limit.
//!
//! A service that keeps returning new pages, or the same ones again, must not keep a command busy
//! for ever. A partial list is not the list, so this is an error.

use std::collections::HashSet;

use tokio::time::timeout;

use crate::client::bounds::{LIST_TIMEOUT, NAMES_BYTES_MAX, PAGES_MAX};
use crate::client::connection::Connection;
use crate::client::error::{ClientError, EndlessList};
use crate::mns::api::UnexpectedDocument;

/// The maximum number of entries of a page.
const PAGE_ENTRIES: &str = "1000";

/// The names of all entries, taken from the addresses in the element `address`.
pub(super) async fn list(
    connection: &Connection,
    target: &str,
    prefix: &str,
    entry: &str,
    address: &'static str,
) -> Result<Vec<String>, ClientError> {
    in_time(pages(connection, target, prefix, entry, address)).await
}

async fn pages(
    connection: &Connection,
    target: &str,
    prefix: &str,
    entry: &str,
    address: &'static str,
) -> Result<Vec<String>, ClientError> {
    let mut names = Vec::new();
    let mut names_bytes = 0_usize;
    let mut marker = String::new();
    let mut markers = HashSet::new();
    for _page in 0..PAGES_MAX {
        let mut headers = vec![("x-mns-ret-number", PAGE_ENTRIES)];
        headers.extend((!prefix.is_empty()).then_some(("x-mns-prefix", prefix)));
        headers.extend((!marker.is_empty()).then_some(("x-mns-marker", marker.as_str())));
        let page = connection.get(target, &headers).await?;
        for child in page.children.iter().filter(|child| child.name == entry) {
            let url = child
                .text_of(address)
                .ok_or(UnexpectedDocument::Missing(address))?;
            // Without `x-mns-with-meta` an entry has only its address, which ends in the name.
            let name = url.rsplit('/').next().unwrap_or(url).to_owned();
            names_bytes = names_bytes.saturating_add(name.len());
            names.push(name);
        }
        if names_bytes > NAMES_BYTES_MAX {
            return Err(ClientError::Endless(EndlessList::TooManyNames));
        }
        match page.text_of("NextMarker").map(str::trim) {
            // An empty marker would begin the list again, so it ends the list too.
            None | Some("") => return Ok(names),
            // A repeated marker would return the same pages again, without an end.
            Some(next) if !markers.insert(next.to_owned()) => {
                return Err(ClientError::Endless(EndlessList::SameMarker(
                    next.to_owned(),
                )));
            }
            Some(next) => next.clone_into(&mut marker),
        }
    }
    Err(ClientError::Endless(EndlessList::TooManyPages))
}

async fn in_time<T>(pages: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    timeout(LIST_TIMEOUT, pages)
        .await
        .unwrap_or(Err(ClientError::Endless(EndlessList::TooLong)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_list_that_takes_too_long_ends() {
        let started = tokio::time::Instant::now();
        let never = in_time(std::future::pending::<Result<(), ClientError>>())
            .await
            .unwrap_err();
        assert!(
            matches!(never, ClientError::Endless(EndlessList::TooLong)),
            "{never}"
        );
        assert_eq!(started.elapsed(), LIST_TIMEOUT);
    }
}
