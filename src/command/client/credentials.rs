//! The endpoint and the access key of a client command: from the SDKs' sample.cfg, or from the
//! environment.
//!
//! Id, secret and token belong together, so they come from one source: the file if it has a key, or
//! else the environment. A key with the token of another identity is refused or, worse, acts for
//! somebody else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

use crate::command::client::ini::{Ini, IniError};
use crate::command::client::key_source::{ID_VARIABLE, KeySource};
use crate::command::input;
use crate::mns::AccessKey;

/// Names a sample.cfg, as `--sdk-config` does.
const CONFIG_VARIABLE: &str = "MNS_ENDPOINT_SDK_CONFIG";
const ENDPOINT_VARIABLE: &str = "MNS_ACCOUNT_ENDPOINT";
const SECRET_VARIABLE: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
/// The first one that is set is used. The vendor's Python SDK reads the second.
const TOKEN_VARIABLES: [&str; 2] = [
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_ACCESS_SECURITY_TOKEN",
];

/// The file and the environment, separately.
pub(super) struct CredentialSources {
    file: Option<SdkConfig>,
}

/// A sample.cfg. Empty values count as absent.
struct SdkConfig {
    path: PathBuf,
    id: Option<String>,
    secret: Option<String>,
    endpoint: Option<String>,
    token: Option<String>,
}

/// An access key, its token, and the source of both.
pub(super) struct Credentials {
    pub(super) key: AccessKey,
    pub(super) token: Option<String>,
    pub(super) source: KeySource,
}

impl CredentialSources {
    /// Reads the file named by `--sdk-config` or, without the flag, by the environment.
    pub(super) fn read(flag: Option<&Path>) -> anyhow::Result<Self> {
        let named = std::env::var_os(CONFIG_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        let (path, origin) = match (flag, named) {
            (Some(path), _) => (path.to_owned(), "--sdk-config"),
            (None, Some(path)) => (path, CONFIG_VARIABLE),
            (None, None) => return Ok(Self { file: None }),
        };
        let file =
            SdkConfig::read(path).with_context(|| format!("cannot use what {origin} names"))?;
        Ok(Self { file: Some(file) })
    }

    /// The address of the service, unless a flag gives it, and its source.
    pub(super) fn endpoint(&self) -> anyhow::Result<(String, String)> {
        if let Some(file) = &self.file
            && let Some(endpoint) = &file.endpoint
        {
            file.refuse_placeholder("Endpoint", endpoint)?;
            return Ok((
                endpoint.clone(),
                format!("Endpoint in {}", file.path.display()),
            ));
        }
        let lacking = self.lacking("Endpoint");
        let endpoint = variable(ENDPOINT_VARIABLE)?.with_context(|| {
            format!(
                "no endpoint: set {ENDPOINT_VARIABLE}, or Endpoint in a file given with \
                 --sdk-config or {CONFIG_VARIABLE}, \
                 or give --endpoint{lacking}"
            )
        })?;
        Ok((endpoint, ENDPOINT_VARIABLE.to_owned()))
    }

    /// The key of the file if it has one, or else that of the environment. Each comes with the
    /// token of the same source, if there is one.
    pub(super) fn credentials(&self) -> anyhow::Result<Credentials> {
        match &self.file {
            // Id and secret come from one source, even if one of them is missing in it.
            Some(file) if file.id.is_some() || file.secret.is_some() => file.credentials(),
            Some(SdkConfig {
                path,
                token: Some(_),
                ..
            }) => bail!(
                "{} has a SecurityToken, but not the AccessKeyId and AccessKeySecret that it \
                 belongs to: they come from one \
                 source, so add them, or remove the token",
                path.display()
            ),
            Some(_) | None => environment(&self.lacking("AccessKeyId")),
        }
    }

    /// What the file lacks, for the end of a message.
    fn lacking(&self, key: &str) -> String {
        let file = self.file.as_ref();
        file.map(|file| format!("; {} has no {key} under [Base]", file.path.display()))
            .unwrap_or_default()
    }
}

impl SdkConfig {
    fn read(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = String::from_utf8(input::read_small(&path)?)
            .with_context(|| format!("{shown} is not UTF-8"))?;
        // Windows editors write this mark. Python would treat it as a part of the first section's
        // name.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let ini = match Ini::parse(text) {
            Ok(ini) => ini,
            Err(error @ IniError::NoSection(_)) => {
                bail!("{shown} has no section [Base]: {error}; write [Base] above it")
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        if !ini.sections().any(|section| section == "Base") {
            let found: String = ini
                .sections()
                .map(|section| format!(", only [{section}]"))
                .collect();
            bail!(
                "{shown} has no section [Base]{found}; write [Base], in this spelling, above \
                 Endpoint and the key"
            );
        }
        let value = |section: &str, key: &str| {
            let value = ini
                .get(section, key)
                .with_context(|| format!("cannot read {key} in {shown}"))?;
            if value.as_ref().is_some_and(|value| value.contains('\n')) {
                bail!(
                    "{key} in {shown} has several lines: an indented line continues the value \
                     above it, so move the next \
                     key to the margin"
                );
            }
            // An empty value counts as missing.
            Ok(value.filter(|value| !value.is_empty()))
        };
        Ok(Self {
            id: value("Base", "AccessKeyId")?,
            secret: value("Base", "AccessKeySecret")?,
            endpoint: value("Base", "Endpoint")?,
            // The samples treat their own placeholder as no token.
            token: value("Optional", "SecurityToken")?
                .filter(|token| !is_placeholder("SecurityToken", token)),
            path,
        })
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        let needed = |key: &str, value: &Option<String>| {
            let value = value.clone().ok_or_else(|| {
                anyhow!(
                    "{} has no {key} under [Base]; id, secret and token come from one source, so \
                     the environment does not \
                     fill it in",
                    self.path.display()
                )
            })?;
            self.refuse_placeholder(key, &value)?;
            anyhow::Ok(value)
        };
        let id = needed("AccessKeyId", &self.id)?;
        let key = AccessKey {
            id,
            secret: needed("AccessKeySecret", &self.secret)?,
        };
        let source = KeySource::File {
            path: self.path.clone(),
            has_token: self.token.is_some(),
        };
        Ok(Credentials {
            key,
            token: self.token.clone(),
            source,
        })
    }

    /// Rejects placeholders: the template of the samples contains `$Endpoint` and the like.
    fn refuse_placeholder(&self, key: &str, value: &str) -> anyhow::Result<()> {
        if is_placeholder(key, value) {
            bail!(
                "{key} in {} still is the placeholder {value}: put your own value there",
                self.path.display()
            );
        }
        Ok(())
    }
}

fn environment(lacking: &str) -> anyhow::Result<Credentials> {
    let (id, secret) = match (variable(ID_VARIABLE)?, variable(SECRET_VARIABLE)?) {
        (Some(id), Some(secret)) => (id, secret),
        (Some(_), None) => bail!("{ID_VARIABLE} is set, but {SECRET_VARIABLE} is not{lacking}"),
        (None, Some(_)) => bail!("{SECRET_VARIABLE} is set, but {ID_VARIABLE} is not{lacking}"),
        (None, None) => bail!(
            "no access key: set {ID_VARIABLE} and {SECRET_VARIABLE}, or AccessKeyId and \
             AccessKeySecret in a file given with \
             --sdk-config or {CONFIG_VARIABLE}{lacking}"
        ),
    };
    let mut token = None;
    for name in TOKEN_VARIABLES {
        token = match token {
            Some(found) => Some(found),
            None => variable(name)?.map(|value| (name, value)),
        };
    }
    let source = KeySource::Environment {
        token: token.as_ref().map(|(name, _)| *name),
    };
    Ok(Credentials {
        key: AccessKey { id, secret },
        token: token.map(|(_, value)| value),
        source,
    })
}

/// A variable that is set and not empty.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = OsString::into_string(value);
    text.map(Some)
        .map_err(|_not_text| anyhow!("{name} is not UTF-8"))
}

/// Whether a value is the placeholder for its key in the template of the samples.
fn is_placeholder(key: &str, value: &str) -> bool {
    value
        .strip_prefix('$')
        .is_some_and(|name| name.eq_ignore_ascii_case(key))
}
