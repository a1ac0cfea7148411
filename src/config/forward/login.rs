//! The keys that say who we are to a destination.

use crate::config::ConfigError;
use crate::config::forward::table::{Table, path};
use crate::forward::{Login, TlsOptions};

pub(super) fn check_login(table: Table<'_>) -> Result<Login, ConfigError> {
    let raw = table.raw;
    match (
        raw.user.as_str(),
        path(&raw.password_file),
        path(&raw.token_file),
    ) {
        ("", None, None) => Ok(Login::None),
        ("", None, Some(token)) => Ok(Login::Token(token)),
        ("", Some(_), _) => Err(table.impossible("user", "", "password_file needs a user")),
        (user, _, Some(_)) => Err(table.impossible(
            "user",
            user,
            "a user with password_file, or token_file alone",
        )),
        (user, None, None) => Err(table.impossible("user", user, "password_file is needed")),
        (user, Some(password_file), None) => Ok(Login::User {
            user: user.to_owned(),
            password_file,
        }),
    }
}

pub(super) fn check_tls(table: Table<'_>) -> Result<TlsOptions, ConfigError> {
    let raw = table.raw;
    let identity = match (path(&raw.certificate), path(&raw.private_key)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(table.impossible("private_key", "", "certificate needs its private key"));
        }
        (None, Some(_)) => {
            return Err(table.impossible("certificate", "", "private_key needs its certificate"));
        }
    };
    Ok(TlsOptions {
        ca: path(&raw.ca),
        identity,
    })
}
