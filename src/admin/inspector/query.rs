//! The query parameters of an API request. Each must be known and may occur once.

use http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;

use crate::admin::respond::ApiError;

/// The query parameters, decoded.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the parameters. Refuses names that are not in `known`.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Self, ApiError> {
        let mut found: Vec<(String, String)> = Vec::new();
        let parts = uri.query().unwrap_or_default().split('&');
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) || found.iter().any(|(other, _)| *other == name) {
                return Err(wrong(format!("{name:?} is unknown here or comes twice")));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    /// The value of a parameter that is present and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of a parameter, parsed.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let parse = |value: &str| {
            value
                .parse()
                .map_err(|_mistake| wrong(format!("{name} cannot be {value:?}")))
        };
        self.get(name).map(parse).transpose()
    }
}

/// Answers 400.
pub(super) fn wrong(text: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "parameter_wrong", text)
}

fn decoded(text: &str) -> Result<String, ApiError> {
    // `URLSearchParams` of the page writes a blank as `+`.
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_invalid| wrong("a parameter is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_decoded_and_others_are_refused() {
        let read = |text: &str| {
            let uri = format!("/x?{text}").parse().unwrap();
            Query::of(&uri, &["q", "limit"])
        };
        let query = read("q=%E7%8E%8B+a%2Bb&limit=5&").unwrap();
        assert_eq!(query.get("q"), Some("王 a+b"));
        assert_eq!(query.parsed::<u8>("limit").unwrap(), Some(5));
        assert_eq!(read("limit=").unwrap().parsed::<u8>("limit").unwrap(), None);
        for mistake in ["x=1", "q=1&q=2", "q=%FF"] {
            assert_eq!(read(mistake).unwrap_err().status, 400, "{mistake}");
        }
        assert!(read("limit=a").unwrap().parsed::<u8>("limit").is_err());
    }
}
