//! The paths of the admin listener: one table of exact bytes, nothing decoded, no prefixes.

use http::Method;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Metrics,
    Api(Api),
}

/// What a path below `/api/` leads to. Each needs the token of the inspector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    About,
}

impl Route {
    /// What the raw path of a request leads to.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/api/about" => Self::Api(Api::About),
            _ => return None,
        })
    }

    /// The methods that it takes, as Allow lists them.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Health | Self::Ready | Self::Metrics | Self::Api(_) => "GET, HEAD",
        }
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        self.methods()
            .split(", ")
            .any(|taken| taken == method.as_str())
    }
}
