//! One live file: its content and its identity.

use std::io;

use crate::disk::{DiskFile, FileId, read_exact_at};

/// A log that is being written.
pub(super) struct LiveFile {
    file: Box<dyn DiskFile>,
    /// The identity of the file. It is read only once, because each commit compares it with that of
    /// the file to which the name leads.
    id: FileId,
}

impl LiveFile {
    pub(super) fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let id = file.identity()?;
        Ok(Self { file, id })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(self.file.as_ref(), buffer, offset)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    /// Truncates the file to `len` bytes. A file that is already shorter stays as it is: setting
    /// its length would fill it with zeros.
    pub(super) fn cut(&mut self, len: u64) -> io::Result<()> {
        if self.file.len()? > len {
            self.file.set_len(len)
        } else {
            Ok(())
        }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    /// A second handle, for another thread.
    pub(super) fn duplicate(&self) -> io::Result<Box<dyn DiskFile>> {
        self.file.duplicate()
    }

    pub(super) fn is_linked(&self) -> io::Result<bool> {
        self.file.is_linked()
    }
}
