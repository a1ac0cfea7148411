//! The findings of `check` about the server: environment, listeners, address, paths and limits.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;

use crate::command::check::findings::{Finding, Findings};
use crate::command::check::unserved;
use crate::command::serve::address::public_address;
use crate::config::Config;
use crate::net;
use crate::server::{self, Paths};

/// The time after which Docker kills a container by default.
const CONTAINER_STOP_TIMEOUT: Duration = Duration::from_secs(10);

impl Findings {
    pub(super) fn look_at_environment(&mut self, config: &Config) {
        for (name, meant) in &config.unread_variables {
            self.0.push(Finding::warning(
                "environment",
                format!("{name} is not read: write {meant}"),
            ));
        }
    }

    pub(super) fn look_at_listeners(&mut self, config: &Config) {
        let of_server = config
            .listen
            .iter()
            .map(|listen| ("server.listen", *listen));
        let of_admin = config
            .admin
            .iter()
            .map(|admin| ("admin.listen", admin.listen));
        let has_ipv6 = net::has_ipv6();
        for (key, listen) in of_server
            .chain(of_admin)
            .filter(|(_, listen)| listen.is_ipv6() && !has_ipv6)
        {
            self.0.push(match listen.ip() {
                IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Finding::warning(
                    key,
                    "this machine has no IPv6: [::] is 0.0.0.0, without IPv6",
                ),
                _ => Finding::error(
                    key,
                    format!("this machine has no IPv6: serve cannot listen on {listen}"),
                ),
            });
        }
        if config.admin.is_none() && config.server.health_path.is_none() {
            let text = "admin.listen is off too: neither a balancer nor mns-endpoint health can \
                check the health";
            self.0.push(Finding::warning("server.health_path", text));
        }
    }

    /// Finds pushes in the access log to a path that this configuration does not serve.
    pub(super) fn look_at_paths(&mut self, config: &Config) {
        // The secret path is never logged, so every logged path is another one.
        let served = match &config.server.paths {
            _ if config.secret_path_file.is_some() => &[][..],
            Paths::These(paths) => paths,
            Paths::Any | Paths::Secret(_) => return,
        };
        let Some(port) = config.listen.first().map(SocketAddr::port) else {
            return;
        };
        for path in unserved::paths(&config.log_dir, port, served) {
            let text = format!(
                "requests with x-mns headers came for {}, which is not served: {}, the last on \
                 {}; if a subscription has this path, add it or change the subscription: nobody \
                 verified who sent them",
                path.path, path.pushes, path.last
            );
            self.0.push(Finding::warning("server.paths", text));
        }
    }

    pub(super) fn look_at_address(&mut self, config: &Config) {
        const KEY: &str = "server.public_url";
        let Some(listen) = config.listen.first() else {
            return;
        };
        let (address, is_public) = public_address(config, *listen);
        self.0.push(if is_public {
            Finding::note(KEY, format!("the address for a subscription is {address}"))
        } else {
            let text = format!(
                "{address} is private, and MNS cannot reach it: set the one that it can reach"
            );
            Finding::warning(KEY, text)
        });
        let is_secure = config
            .public_url
            .as_ref()
            .map(|url| url.starts_with("https:"));
        match (is_secure, config.tls.is_some()) {
            (Some(false), true) => {
                let text = format!(
                    "{address} begins with http, and server.tls is on: MNS would not speak TLS to \
                     it; write https, unless a proxy in front speaks TLS to this port"
                );
                self.0.push(Finding::warning(KEY, text));
            }
            (Some(true), false) => {
                let text =
                    "it begins with https, and server.tls is off: a proxy in front has to end TLS";
                self.0.push(Finding::note(KEY, text));
            }
            (Some(true), true) | (Some(false), false) | (None, _) => {}
        }
    }

    pub(super) fn look_at_limits(&mut self, config: &Config) {
        let wanted = config.net.connections_max;
        // Calls what a start calls. It raises the limit of this process only.
        let possible = net::raise_file_limit(wanted);
        if possible < wanted {
            let text = format!(
                "{wanted} are more than the limit on open files allows: {possible}; raise it with \
                 ulimit -n or LimitNOFILE="
            );
            self.0
                .push(Finding::warning("server.max_connections", text));
        }
        let body_timeout = config.server.body_timeout;
        if body_timeout > server::BUDGET {
            let text = format!(
                "{body_timeout:?} is more than the {:?} that a request has from its first byte: \
                    the rest has no effect",
                server::BUDGET
            );
            self.0.push(Finding::warning("server.body_timeout", text));
        }
        let body = config.server.body_bytes_max;
        if body > server::AWAITED_BYTES_MAX {
            let bytes = |size: usize| ByteSize(u64::try_from(size).unwrap_or(u64::MAX));
            let text = format!(
                "{} is more than the {} that bodies of MNS may use while they arrive: a larger \
                 one gets 503 unless it is the only one. The largest push of MNS has less than \
                 512 KiB",
                bytes(body),
                bytes(server::AWAITED_BYTES_MAX)
            );
            self.0.push(Finding::warning("server.max_body", text));
        }
        let stop = config.drain_delay.saturating_add(config.drain);
        if stop > CONTAINER_STOP_TIMEOUT {
            let text = format!(
                "a stop may take {stop:?} with drain_delay: let the supervisor wait as long; \
                    containers are killed after 10s"
            );
            self.0.push(Finding::note("server.drain", text));
        }
    }
}
