//! The keys of signing: which addresses certificates may come from, and how they are fetched.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::config::checks::positive;
use crate::config::error::impossible;
use crate::config::{ConfigError, raw};
use crate::mns::{Prefix, Prefixes, SigningCertUrl, WELL_KNOWN_CERTIFICATE};
use crate::server;
use crate::trust::{FetchOptions, KEY_BITS, Policy};

pub(super) fn check_prefixes(
    signing: &raw::Signing,
    trust: &[String],
) -> Result<(Prefixes, Vec<Prefix>), ConfigError> {
    let mut all = Vec::new();
    for text in &signing.certificate_prefixes.0 {
        let extra = signing.extra_regions.0.iter().map(String::as_str);
        let expanded = Prefix::expand(text, extra);
        all.extend(expanded.map_err(|error| {
            impossible("signing.certificate_prefixes", text, &error.to_string())
        })?);
    }
    for text in trust {
        // Accept a prefix without its final slash, too.
        let slashed = if text.ends_with('/') {
            text.clone()
        } else {
            format!("{text}/")
        };
        // The address of a file is not a prefix: with a slash added, it would match nothing.
        let is_certificate = [".pem", ".crt", ".cer"]
            .iter()
            .any(|ending| text.ends_with(ending));
        let prefix = Prefix::parse(&slashed).ok().filter(|_| !is_certificate);
        let prefix = prefix.ok_or_else(|| {
            impossible(
                "--trust",
                text,
                "write what push prints, as in http://127.0.0.1:9001/",
            )
        })?;
        // A prefix that the configuration lists stays trusted after this run, so it is not
        // temporary.
        if !all.contains(&prefix) {
            all.push(prefix.temporary());
        }
    }
    // Includes those of --trust, which are usually http: a start warns of each.
    let insecure = all
        .iter()
        .filter(|prefix| !prefix.is_secure())
        .cloned()
        .collect();
    Ok((Prefixes::new(all), insecure))
}

/// The certificate of MNS to fetch at the start, if its address may be fetched at all. Not with
/// `--trust`: then `push` or the emulator sends the pushes.
pub(super) fn check_prefetch(
    is_wanted: bool,
    trust: &[String],
    prefixes: &Prefixes,
) -> Option<SigningCertUrl> {
    let is_for_mns = is_wanted && trust.is_empty();
    is_for_mns
        .then(|| prefixes.admit(WELL_KNOWN_CERTIFICATE.as_bytes()).ok())
        .flatten()
}

/// Checks what a push must satisfy.
pub(super) fn check_policy(signing: &raw::Signing) -> Result<Policy, ConfigError> {
    Ok(Policy {
        max_clock_skew: signing.max_clock_skew.0,
        max_age: signing.max_age.0,
        require_content_md5: signing.require_content_md5,
        min_key_bits: check_key_bits(signing.min_key_bits)?,
    })
}

/// Checks how certificates are fetched.
pub(super) fn check_fetch(signing: &raw::Signing) -> Result<FetchOptions, ConfigError> {
    Ok(FetchOptions {
        timeout: check_fetch_timeout(signing.fetch_timeout.0)?,
        via: check_fetch_via(signing.fetch_via.clone())?,
        proxy: check_proxy(signing.proxy.clone())?,
    })
}

fn check_fetch_via(
    hosts: BTreeMap<String, String>,
) -> Result<HashMap<String, String>, ConfigError> {
    let is_host = |text: &&String| {
        // `Authority` accepts a user name before `@`, but a host to connect to has none.
        text.parse::<http::uri::Authority>()
            .is_ok_and(|host| !host.as_str().contains('@'))
    };
    if let Some(text) = hosts
        .iter()
        .flat_map(|(host, via)| [host, via])
        .find(|text| !is_host(text))
    {
        return Err(impossible(
            "signing.fetch_via",
            text,
            "write HOST or HOST:PORT, without https://",
        ));
    }
    Ok(hosts.into_iter().collect())
}

fn check_proxy(url: String) -> Result<Option<String>, ConfigError> {
    let is_proxy = |uri: http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    };
    match url {
        url if url.is_empty() => Ok(None),
        url if url.parse().is_ok_and(is_proxy) => Ok(Some(url)),
        url => Err(impossible(
            "signing.proxy",
            &url,
            "write http://HOST:PORT; \"\" takes the environment's",
        )),
    }
}

fn check_fetch_timeout(timeout: Duration) -> Result<Duration, ConfigError> {
    const KEY: &str = "signing.fetch_timeout";
    // A fetch that takes the whole budget leaves no time for its push.
    if timeout >= server::BUDGET {
        let problem = format!(
            "a request has {:?} in all before MNS gives up: less is needed",
            server::BUDGET
        );
        return Err(impossible(KEY, &format!("{timeout:?}"), &problem));
    }
    positive(KEY, timeout)
}

fn check_key_bits(bits: usize) -> Result<usize, ConfigError> {
    if KEY_BITS.contains(&bits) {
        return Ok(bits);
    }
    let problem = format!(
        "{} to {} are possible; the real key has 512",
        KEY_BITS.start(),
        KEY_BITS.end()
    );
    Err(impossible(
        "signing.min_key_bits",
        &bits.to_string(),
        &problem,
    ))
}
