//! What a connection passes before its requests reach the service.

use std::sync::Arc;

use crate::net::{Limits, Tls, TrustedProxies, Workers};

/// The limits, TLS and proxies in front of a service.
#[derive(Clone)]
pub struct Frontend {
    /// The bounds on connections.
    pub limits: Limits,
    /// TLS for every connection; without it HTTP is plain.
    pub tls: Option<Arc<Tls>>,
    /// The proxies that are believed when they say where a request comes from.
    pub proxies: TrustedProxies,
    /// A GET or HEAD of this path is answered even if every slot is taken.
    pub health_path: Option<String>,
    /// The threads that serve connections; without them the runtime of the caller does.
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
