//! Checks the table of a service as far as possible without sending it a request.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::forward::http::files::Files;
use crate::forward::http::loaded::Loaded;
use crate::forward::{HttpOptions, Observation, Weight};

/// How long the look-up of a name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the files of a destination and checks its address. Sends nothing.
#[must_use]
pub fn look_at_http(destination: &str, options: &HttpOptions) -> Vec<Observation> {
    let warning = |key, text: String| Observation {
        weight: Weight::Warning,
        key,
        text,
    };
    let mut seen = Vec::new();
    let files = Files {
        destination: destination.to_owned(),
        options: options.clone(),
    };
    let loaded = files
        .read()
        .and_then(|contents| Loaded::new(&files, &contents));
    if let Err(invalid) = loaded {
        seen.push(Observation {
            weight: Weight::Error,
            key: invalid.key,
            text: format!("{}: {}", invalid.path.display(), invalid.problem),
        });
    }
    if options.secret_files.is_empty() {
        let text = "empty: requests are not signed, so the service cannot distinguish them \
            from those of anybody else";
        seen.push(warning("secret_files", text.to_owned()));
    }
    let url = &options.url;
    if is_plain(url) {
        let text = format!(
            "{url} is not https: whoever is on the way can read and change what is forwarded"
        );
        seen.push(warning("url", text));
    }
    seen
}

/// Like [`look_at_http`], and also looks up the host name of the service.
pub async fn examine_http(destination: &str, options: &HttpOptions) -> Vec<Observation> {
    let mut seen = look_at_http(destination, options);
    let uri: Uri = options.url.parse().unwrap_or_default();
    // A look-up takes an IPv6 address without the brackets of a URL.
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("http")) => 80,
        (None, _) => 443,
    };
    let found = match timeout(LOOKUP_TIMEOUT, lookup_host((host, port))).await {
        Ok(Ok(_addresses)) => return seen,
        Ok(Err(error)) => error.to_string(),
        Err(_late) => format!("no answer within {LOOKUP_TIMEOUT:?}"),
    };
    seen.push(Observation {
        weight: Weight::Error,
        key: "url",
        text: format!("cannot look {host} up: {found}"),
    });
    seen
}

/// Whether requests leave this machine without TLS.
fn is_plain(url: &str) -> bool {
    let uri: Uri = url.parse().unwrap_or_default();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    // Traffic to a loopback address does not leave this machine.
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !is_here
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::TlsOptions;

    fn seen(url: &str, secret: Option<&str>) -> Vec<(Weight, &'static str)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, secret.unwrap_or_default()).unwrap();
        let options = HttpOptions {
            url: url.to_owned(),
            secret_files: secret.map(|_| path).into_iter().collect(),
            timeout: Duration::from_secs(1),
            tls: TlsOptions::default(),
        };
        let seen = look_at_http("hook", &options);
        seen.into_iter().map(|it| (it.weight, it.key)).collect()
    }

    #[test]
    fn what_is_not_signed_or_can_be_read_on_the_way_is_worth_a_warning() {
        let secret = Some("whsec_bW5zbW5zbW5zbW5zbW5zbW5z");
        let plain = (Weight::Warning, "url");
        let unsigned = (Weight::Warning, "secret_files");
        for url in [
            "https://svc.example/",
            "http://127.0.0.2/",
            "http://[::1]:80/",
            "http://LOCALHOST:8080/",
        ] {
            assert_eq!(seen(url, secret), [], "{url}");
            assert_eq!(seen(url, None), [unsigned], "{url}");
        }
        assert_eq!(seen("http://svc.example/", secret), [plain]);
        assert_eq!(seen("http://10.0.0.1/", None), [unsigned, plain]);
        let invalid = (Weight::Error, "secret_files");
        assert_eq!(seen("https://svc.example/", Some("x")), [invalid]);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_an_error() {
        let options = |url: &str| HttpOptions {
            url: url.to_owned(),
            secret_files: Vec::new(),
            timeout: Duration::from_secs(1),
            tls: TlsOptions::default(),
        };
        let errors = async |url: &str| {
            let seen = examine_http("hook", &options(url)).await;
            let errors = seen.into_iter().filter(|it| it.weight == Weight::Error);
            errors.map(|it| it.text).collect::<Vec<_>>()
        };
        assert_eq!(errors("http://127.0.0.1:1/").await, [""; 0]);
        assert_eq!(errors("https://[::1]/").await, [""; 0]);
    }
}
