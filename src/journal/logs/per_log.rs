//! The two logs, and a value for each of them.

use std::ops::{Index, IndexMut};

/// One of the two logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::EnumCount)]
pub enum Log {
    /// `endpoint_log.PORT`
    Endpoint,
    /// `access_log.PORT`
    Access,
}

impl Log {
    /// The file's name, without the port.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint_log",
            Self::Access => "access_log",
        }
    }
}

/// A value for each log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::journal) struct PerLog<T> {
    endpoint: T,
    access: T,
}

impl<T> PerLog<T> {
    pub(in crate::journal) const fn new(endpoint: T, access: T) -> Self {
        Self { endpoint, access }
    }

    /// Makes both values, the endpoint log's first.
    pub(in crate::journal) fn try_from_fn<E>(
        mut make: impl FnMut(Log) -> Result<T, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            endpoint: make(Log::Endpoint)?,
            access: make(Log::Access)?,
        })
    }
}

impl<T> Index<Log> for PerLog<T> {
    type Output = T;

    fn index(&self, log: Log) -> &T {
        match log {
            Log::Endpoint => &self.endpoint,
            Log::Access => &self.access,
        }
    }
}

impl<T> IndexMut<Log> for PerLog<T> {
    fn index_mut(&mut self, log: Log) -> &mut T {
        match log {
            Log::Endpoint => &mut self.endpoint,
            Log::Access => &mut self.access,
        }
    }
}
