//! Formats a request as a curl command that is safe to run in a shell, whatever bytes a peer sent.
//!
//! Text is in single quotes, which only a quote ends. Bytes that are not text and control
//! characters, which a terminal would obey while they are pasted, are written as `\xhh` in `$'…'`
//! (bash, zsh, ksh). `--data-raw` does not read a file if the body begins with `@`. `name;` sends
//! an empty header, which `name:` would drop. `--globoff` keeps curl from expanding brackets in the
//! URL into several requests.

use crate::journal::escaped;

/// Headers that curl adds itself, or that belong to the old connection.
const LEFT_OUT: [&str; 5] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "expect",
];
/// Headers that curl adds unless they are suppressed.
const ADDED: [&str; 4] = ["user-agent", "accept", "content-type", "expect"];
/// The longest argument, in bytes. Linux allows 128 KiB for one argument (`MAX_ARG_STRLEN`),
/// including the quoting.
const ARGUMENT_BYTES_MAX: usize = 100 * 1024;

/// The request to send.
pub(super) struct Curl<'a> {
    /// A peer chose it from the characters of an HTTP token, which include `'`, `$` and `|`.
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(String, Vec<u8>)],
    pub(super) body: &'a [u8],
    /// The command that writes the body to stdout, for a body that cannot be an argument.
    pub(super) body_command: &'a str,
}

impl Curl<'_> {
    /// Formats the command, on several lines.
    pub(super) fn command(&self) -> String {
        let method = quoted(self.method.as_bytes());
        let mut parts = vec![format!("curl --globoff --path-as-is -X {method}")];
        let sent = |name: &str| !LEFT_OUT.contains(&name);
        for (name, value) in self.headers.iter().filter(|(name, _)| sent(name)) {
            let header = match value.as_slice() {
                [] => format!("{name};").into_bytes(),
                value => [name.as_bytes(), b": ", value].concat(),
            };
            parts.push(format!("-H {}", quoted(&header)));
        }
        for name in ADDED {
            let is_there = self
                .headers
                .iter()
                .any(|(known, _)| known == name && sent(name));
            if !is_there {
                parts.push(format!("-H '{name}:'"));
            }
        }
        let body = quoted(self.body);
        // A NUL would end the argument.
        let is_argument = !self.body.contains(&0) && body.len() <= ARGUMENT_BYTES_MAX;
        let mut before = String::new();
        if is_argument {
            parts.push(format!("--data-raw {body}"));
        } else {
            before = format!(
                "# the body cannot be an argument: write it to a file first\n\
                 # {} > notification.body\n",
                self.body_command
            );
            parts.push("--data-binary @notification.body".to_owned());
        }
        parts.push(quoted(self.url.as_bytes()));
        before + &parts.join(" \\\n  ")
    }
}

/// Quotes bytes as one word of a shell.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let is_plain = |line: &[u8]| escaped(line).as_bytes() == line;
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.split(|byte| *byte == b'\n').all(is_plain) => {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
        Ok(_) | Err(_) => {
            let plain = |byte: &u8| {
                matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\' | b'!' | b'?')
            };
            let byte = |byte: &u8| match byte {
                byte if plain(byte) => char::from(*byte).to_string(),
                byte => format!("\\x{byte:02x}"),
            };
            // Some shells would read a digit after an escape as a part of it.
            let mut word = String::new();
            let mut is_after_escape = false;
            for it in bytes {
                let part = if is_after_escape && it.is_ascii_hexdigit() {
                    format!("\\x{it:02x}")
                } else {
                    byte(it)
                };
                is_after_escape = part.starts_with('\\');
                word += &part;
            }
            format!("$'{word}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_so_that_nothing_in_them_is_run() {
        for (bytes, word) in [
            (&b"plain"[..], "'plain'"),
            (b"", "''"),
            (
                b"it's $(id) `id` \"x\" !1 \\",
                "'it'\\''s $(id) `id` \"x\" !1 \\'",
            ),
            ("王小明\nsecond".as_bytes(), "'王小明\nsecond'"),
            (b"a\tb'c!", "$'a\\x09\\x62\\x27\\x63\\x21'"),
            (b"\xff\x00", "$'\\xff\\x00'"),
            ("x\u{202e}".as_bytes(), "$'x\\xe2\\x80\\xae'"),
        ] {
            assert_eq!(quoted(bytes), word);
        }
    }

    #[test]
    fn a_body_that_can_be_no_argument_is_read_from_a_file() {
        let command = |body: &[u8]| {
            Curl {
                method: "POST",
                url: "http://x",
                headers: &[],
                body,
                body_command: "show",
            }
            .command()
        };
        assert!(command(b"@/etc/hostname").contains("--data-raw '@/etc/hostname'"));
        for body in [b"a\0b".to_vec(), vec![b'x'; 200_000], vec![1; 50_000]] {
            let command = command(&body);
            assert!(command.starts_with("# the body"), "{command}");
            assert!(command.contains("# show > notification.body\n"));
            assert!(command.contains("--data-binary @notification.body"));
        }
    }
}
