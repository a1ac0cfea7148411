//! The keys for authentication to a destination.

use crate::config::ConfigError;
use crate::config::forward::table::{Table, path};
use crate::forward::{CAN_SIGN, Login, TlsOptions};

pub(super) fn check_login(table: Table<'_>) -> Result<Login, ConfigError> {
    let raw = table.raw;
    let files = [&raw.password_file, &raw.token_file, &raw.creds_file].map(|file| path(file));
    match (raw.user.as_str(), files) {
        // Also with a client certificate, which may be the login.
        ("", [None, None, None]) => Ok(Login::None),
        ("", [None, Some(token), None]) => Ok(Login::Token(token)),
        ("", [None, None, Some(file)]) if CAN_SIGN => Ok(Login::Credentials(file)),
        // Refused now, because the forwarder could never connect.
        ("", [None, None, Some(_)]) => Err(table.impossible(
            "creds_file",
            "",
            "this program cannot sign with an nkey: build it with --features nats-nkeys",
        )),
        ("", [Some(_), _, _]) => Err(table.impossible("user", "", "password_file needs a user")),
        (user, [Some(password_file), None, None]) if !user.is_empty() => Ok(Login::User {
            user: user.to_owned(),
            password_file,
        }),
        (user, [None, None, None]) => {
            Err(table.impossible("user", user, "password_file is needed"))
        }
        (user, _) => Err(table.impossible(
            "user",
            user,
            "a user with password_file, or token_file alone, or creds_file alone",
        )),
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
