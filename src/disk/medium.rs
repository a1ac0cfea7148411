//! The kind of storage that a directory is on, and whether it is durable.

use std::path::Path;

use rustix::fs::FsWord;

/// The kind of storage that a directory is on, as far as durability depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum Medium {
    /// A file system on a disk, or an unknown one.
    #[strum(to_string = "disk")]
    Disk,
    /// The writable layer of a container, which is lost with the container.
    #[strum(to_string = "overlay")]
    Overlay,
    /// Memory, whose content is lost with the power.
    #[strum(to_string = "tmpfs")]
    Memory,
    /// Another machine's disk, whose syncs may mean less.
    #[strum(to_string = "network")]
    Network,
}

impl Medium {
    /// Determines the file system of an existing directory. An unknown one counts as a disk.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        rustix::fs::statfs(dir).map_or(Self::Disk, |found| Self::of_magic(found.f_type))
    }

    /// The numbers are listed in `statfs(2)`.
    fn of_magic(magic: FsWord) -> Self {
        match magic {
            0x794c_7630 => Self::Overlay,
            // tmpfs and ramfs.
            0x0102_1994 | 0x8584_58f6 => Self::Memory,
            // NFS, SMB, CIFS, SMB2, 9P, Ceph and FUSE. Whether a sync in FUSE reaches a disk
            // depends on the program behind it.
            0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x0102_1997 | 0x00c3_6400
            | 0x6573_5546 => Self::Network,
            _ => Self::Disk,
        }
    }
}
