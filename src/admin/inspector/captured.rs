//! A refused request, read from the quarantine.

use std::path::Path;

use memchr::memmem;

use crate::admin::inspector::logged::Logged;
use crate::bounded;
use crate::quarantine::{self, Note};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A refused request as it was received.
pub(super) struct Captured {
    /// Request line and headers, including the empty line.
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) note: Note,
}

impl Captured {
    /// The captured request of a row, if its file still exists. Only files in the quarantine's
    /// directory are read, whatever path the row has.
    pub(super) fn of(logged: &Logged, dir: &Path) -> Option<Self> {
        let named = logged.row.record.attribute("QuarantineFile")?;
        let name = Path::new(std::str::from_utf8(named).ok()?).file_name()?;
        let kept = quarantine::list(dir).ok()?;
        let path = kept.iter().find(|path| path.file_name() == Some(name))?;
        let captured = Self::parse(&bounded::read(path, FILE_BYTES_MAX).ok()?)?;
        // File numbers start again if somebody empties the directory, so check that it is the same
        // request: by its peer, or by its id, because a retry is not stored again and may have come
        // from another peer.
        let row = &logged.row;
        let peer = captured.note.peer.to_string();
        let is_it = row.peer() == Some(peer.as_bytes())
            || (row.request_id().is_some() && row.request_id() == captured.request_id());
        let has_reason = row.reason() == Some(captured.note.reason.as_bytes());
        (is_it && has_reason).then_some(captured)
    }

    fn request_id(&self) -> Option<&[u8]> {
        let mut lines = self.head.split(|byte| *byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(b"x-mns-request-id: "))?;
        Some(value.strip_suffix(b"\r").unwrap_or(value))
    }

    fn parse(file: &[u8]) -> Option<Self> {
        let end = memmem::find(file, b"\r\n\r\n")?.checked_add(2)?;
        let (head, rest) = file.split_at_checked(end)?;
        let mut lines: Vec<&[u8]> = head.split_inclusive(|byte| *byte == b'\n').collect();
        // The capture appends this header as the last one, so it is ours and not the peer's.
        let length = lines.pop()?.strip_prefix(b"content-length: ")?;
        let length = std::str::from_utf8(length).ok()?.trim_end().parse().ok()?;
        let (body, note) = rest.strip_prefix(b"\r\n")?.split_at_checked(length)?;
        lines.push(b"\r\n");
        Some(Self {
            head: lines.concat(),
            body: body.to_vec(),
            note: Note::parse(note)?,
        })
    }
}
