//! The part of the server in front of the service: limits, TLS and proxies.

use std::sync::Arc;

use crate::net::{Limits, Tls, TrustedProxies, Workers};

/// The limits, TLS and proxies in front of a service.
#[derive(Clone)]
pub struct Frontend {
    /// The limits on connections.
    pub limits: Limits,
    /// TLS for every connection. Without it HTTP is unencrypted.
    pub tls: Option<Arc<Tls>>,
    /// The proxies that are trusted to name the client of a request.
    pub proxies: TrustedProxies,
    /// A GET or HEAD of this path is answered even if every slot is taken.
    pub health_path: Option<String>,
    /// The threads that serve connections. Without them the caller's runtime serves them.
    pub workers: Option<Arc<Workers>>,
}

impl Frontend {
    /// HTTP without TLS.
    #[must_use]
    pub fn plain(limits: Limits) -> Self {
        Self {
            limits,
            tls: None,
            proxies: TrustedProxies::default(),
            health_path: None,
            workers: None,
        }
    }
}
