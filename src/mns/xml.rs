//! The XML form of a notification (protocol.md 1.4).
//!
//! Elements are matched by their local name, in any order and any namespace, because the manual,
//! the samples and real pushes disagree about both. Text is read completely (text, CDATA and
//! references; comments are skipped), decoded once and never trimmed. Line ends stay as they were
//! sent, so that the message is the one whose digest is in `MessageMD5`. No function recurses.

use std::borrow::Cow;
use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::mns::content_format::ContentFormat;
use crate::mns::document;
use crate::mns::envelope::Envelope;
use crate::mns::notification::{ATTRIBUTES, InvalidNotification, Notification};
use crate::mns::surrogates;

/// One half of a surrogate pair has no meaning: readers turn it into `U+FFFD`, `?` or the half
/// itself.
const LONE_HALF: &str =
    "it refers to one half of a surrogate pair without the other, which is no character";

/// Reads a `<Notification>` document.
pub(super) fn decode(text: &str) -> Result<Notification<'_>, InvalidNotification> {
    read(text, read_text)?.into_notification(ContentFormat::Xml)
}

/// Reads the attributes around a message that cannot be decoded.
pub(super) fn decode_around_message(text: &str) -> Result<Envelope<'_>, InvalidNotification> {
    read(text, |reader, start| match start.local_name().as_ref() {
        "Message" => reader
            .read_to_end(start.name())
            .map(|_| Cow::Borrowed(""))
            .map_err(malformed),
        _ => read_text(reader, start),
    })
}

/// The text of an element, or the reason why it cannot be read.
type Text<'a> = Result<Cow<'a, str>, InvalidNotification>;

/// Reads a document, using `value` to read the value of each attribute.
fn read<'a>(
    text: &'a str,
    value: impl Fn(&mut Reader<&'a [u8]>, &BytesStart<'a>) -> Text<'a>,
) -> Result<Envelope<'a>, InvalidNotification> {
    let mut reader = Reader::from_str(text);
    let root = read_root(&mut reader)?;
    let mut envelope = Envelope::default();
    if let Root::Open = root {
        while let Some(element) = next_element(&mut reader)? {
            let name = element.start.local_name();
            // Of any name: `set` ignores elements that are not attributes.
            let value = if element.empty {
                Cow::Borrowed("")
            } else if ATTRIBUTES.contains(&name.as_ref()) {
                value(&mut reader, &element.start)?
            } else {
                // MNS may add elements: skip those that are not known.
                reader
                    .read_to_end(element.start.name())
                    .map_err(malformed)?;
                continue;
            };
            envelope.set(name.as_ref(), value)?;
        }
    }
    refuse_anything_after(&mut reader)?;
    Ok(envelope)
}

enum Root {
    Open,
    Empty,
}

struct Child<'a> {
    start: BytesStart<'a>,
    empty: bool,
}

fn read_root(reader: &mut Reader<&[u8]>) -> Result<Root, InvalidNotification> {
    loop {
        let (start, root) = match next(reader)? {
            Event::Start(start) => (start, Root::Open),
            Event::Empty(start) => (start, Root::Empty),
            Event::Decl(declaration) => match declaration.encoding() {
                None => continue,
                Some(Ok(name))
                    if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8") =>
                {
                    continue;
                }
                // The text was decoded as UTF-8, so another declared encoding would be ignored.
                Some(Ok(_)) => return Err(InvalidNotification::NotUtf8),
                Some(Err(error)) => return Err(malformed(error)),
            },
            Event::Comment(_) | Event::PI(_) => continue,
            Event::Text(text) if text.trim_ascii().is_empty() => continue,
            Event::Eof => return Err(malformed("it has no root element")),
            Event::Text(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
            | Event::End(_)
            | Event::DocType(_) => {
                return Err(malformed("there is text before the root element"));
            }
        };
        return match start.local_name().as_ref() {
            "Notification" => Ok(root),
            other => Err(malformed(format!(
                "its root element is {other:?}, not Notification"
            ))),
        };
    }
}

/// The next child of the root. `None` at the root's end.
fn next_element<'a>(
    reader: &mut Reader<&'a [u8]>,
) -> Result<Option<Child<'a>>, InvalidNotification> {
    loop {
        match next(reader)? {
            Event::Start(start) => {
                return Ok(Some(Child {
                    start,
                    empty: false,
                }));
            }
            Event::Empty(start) => return Ok(Some(Child { start, empty: true })),
            Event::End(_) => return Ok(None),
            Event::Eof => return Err(malformed("it ends before </Notification>")),
            // Text between elements is ignored.
            Event::Text(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
            | Event::Comment(_)
            | Event::PI(_) => {}
            Event::Decl(_) | Event::DocType(_) => {
                return Err(malformed("there is a declaration inside the root"));
            }
        }
    }
}

/// The text up to the end of the element that was just opened.
fn read_text<'a>(
    reader: &mut Reader<&'a [u8]>,
    _start: &BytesStart<'a>,
) -> Result<Cow<'a, str>, InvalidNotification> {
    let mut whole = Cow::Borrowed("");
    loop {
        match next(reader)? {
            Event::Text(text) => push(&mut whole, text.into_inner()),
            Event::CData(text) => push(&mut whole, text.into_inner()),
            Event::GeneralRef(reference) => push(&mut whole, resolve(&reference, reader)?),
            Event::Comment(_) | Event::PI(_) => {}
            Event::End(_) => return Ok(whole),
            Event::Eof => return Err(malformed("it ends inside an element")),
            Event::Start(_) | Event::Empty(_) | Event::Decl(_) | Event::DocType(_) => {
                return Err(malformed(
                    "an attribute of the notification holds further elements",
                ));
            }
        }
    }
}

fn push<'a>(whole: &mut Cow<'a, str>, part: Cow<'a, str>) {
    if whole.is_empty() {
        // Most texts have one part, which stays borrowed.
        *whole = part;
    } else {
        whole.to_mut().push_str(&part);
    }
}

/// Resolves a reference; if it is the first half of a surrogate pair, together with the next one.
fn resolve(
    reference: &BytesRef<'_>,
    reader: &mut Reader<&[u8]>,
) -> Result<Cow<'static, str>, InvalidNotification> {
    let Some(code) = character_code(reference) else {
        return match resolve_predefined_entity(reference) {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => Err(malformed("it refers to an entity that XML does not define")),
        };
    };
    let code = code?;
    if let Some(character) = char::from_u32(code) {
        return Ok(Cow::Owned(character.to_string()));
    }
    if !surrogates::is_high(code) {
        let is_half = u16::try_from(code).is_ok();
        return Err(malformed(if is_half {
            LONE_HALF
        } else {
            "it refers to a number that is no character"
        }));
    }
    // The second half must follow directly: with anything in between, some readers see two halves.
    let low = match next(reader)? {
        Event::GeneralRef(second) => character_code(&second).transpose()?,
        _ => None,
    };
    let character = low
        .and_then(|low| surrogates::join(code, low))
        .ok_or_else(|| malformed(LONE_HALF))?;
    Ok(Cow::Owned(character.to_string()))
}

/// The number in a character reference. `None` for a reference to an entity.
fn character_code(reference: &BytesRef<'_>) -> Option<Result<u32, InvalidNotification>> {
    let number = reference.strip_prefix('#')?;
    let (digits, radix) = number
        .strip_prefix('x')
        .map_or((number, 10), |digits| (digits, 16));
    // `from_str_radix` would accept a sign too.
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| is_number);
    Some(code.ok_or_else(|| malformed("it refers to a character by something else than a number")))
}

fn refuse_anything_after(reader: &mut Reader<&[u8]>) -> Result<(), InvalidNotification> {
    loop {
        match next(reader)? {
            Event::Eof => return Ok(()),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Text(text) if text.trim_ascii().is_empty() => {}
            Event::Start(_)
            | Event::Empty(_)
            | Event::End(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
            | Event::Decl(_)
            | Event::DocType(_) => {
                return Err(malformed("there is something after </Notification>"));
            }
        }
    }
}

/// The next event. A document type is rejected wherever it is.
fn next<'a>(reader: &mut Reader<&'a [u8]>) -> Result<Event<'a>, InvalidNotification> {
    match reader.read_event().map_err(malformed)? {
        Event::DocType(_) => Err(InvalidNotification::DocumentType),
        event => Ok(event),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "takes what map_err gives")]
fn malformed(error: impl ToString) -> InvalidNotification {
    InvalidNotification::Malformed(error.to_string())
}

/// Encodes a notification as in real pushes: an indentation of two blanks, quotes unescaped, the
/// tag only if there is one.
pub(super) fn encode(notification: &Notification<'_>) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Notification \
         xmlns=\"http://mns.aliyuncs.com/doc/v1/\">\n",
    );
    for (name, value) in [
        ("TopicOwner", &notification.topic_owner),
        ("TopicName", &notification.topic_name),
        ("Subscriber", &notification.subscriber),
        ("SubscriptionName", &notification.subscription_name),
        ("MessageId", &notification.message_id),
        ("MessageMD5", &notification.message_md5),
        ("Message", &notification.message),
        ("MessageTag", &notification.message_tag),
        ("PublishTime", &notification.publish_time),
    ] {
        if name == "MessageTag" && value.is_empty() {
            continue;
        }
        let value = String::from_utf8_lossy(value);
        let escaped = document::escaped(&value);
        #[expect(
            clippy::let_underscore_must_use,
            reason = "writing to a String cannot fail"
        )]
        let _ = writeln!(text, "  <{name}>{escaped}</{name}>");
    }
    text.push_str("</Notification>");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = concat!(
        "<TopicOwner>1</TopicOwner><TopicName>t</TopicName><Subscriber>1</Subscriber>",
        "<SubscriptionName>s</SubscriptionName><MessageId>i</MessageId>",
        "<MessageMD5>m</MessageMD5><PublishTime>0</PublishTime>",
    );

    fn message_of(element: &str) -> Result<String, InvalidNotification> {
        let text = format!("<Notification>{REST}{element}</Notification>");
        let notification = decode(&text)?;
        Ok(String::from_utf8(notification.message.into_owned()).unwrap())
    }

    #[test]
    fn text_is_decoded_once_and_read_completely() {
        for (element, message) in [
            ("<Message>plain</Message>", "plain"),
            ("<Message></Message>", ""),
            ("<Message/>", ""),
            ("<Message>   </Message>", "   "),
            ("<Message>\r\n</Message>", "\r\n"),
            (
                "<Message>{\"a\":\"b\"} &lt;x&gt; &amp;amp; 中文</Message>",
                "{\"a\":\"b\"} <x> &amp; 中文",
            ),
            (
                "<Message>a<![CDATA[<b>&amp;]]>c<!--no-->d</Message>",
                "a<b>&amp;cd",
            ),
            ("<Message>&#20013;&#x6587;&quot;&apos;</Message>", "中文\"'"),
            ("<m:Message xmlns:m='x'>n</m:Message>", "n"),
            (
                "<Message>&#xD83D;&#xde00;&#55357;&#xDE00;</Message>",
                "😀😀",
            ),
            // XML forbids these, but they have only one possible meaning.
            (
                "<Message>&#0;&#x1;\u{1}&#xffff;</Message>",
                "\0\u{1}\u{1}\u{ffff}",
            ),
        ] {
            assert_eq!(message_of(element).as_deref(), Ok(message), "{element}");
        }
    }

    #[test]
    fn unknown_elements_misspelt_namespaces_and_missing_declarations_do_not_matter() {
        for (before, after) in [
            (
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Notification \
                 xlmns=\"http://mns.aliyuncs.com/doc/v1/\">",
                "",
            ),
            (
                "<n:Notification>",
                "<SigningCertURL>https://a/</SigningCertURL><X><Y><Message>no</Message></Y></X>",
            ),
            ("<!-- c --><Notification>", "<Empty/>"),
        ] {
            let end = if before.starts_with("<n:") {
                "</n:Notification>\n"
            } else {
                "</Notification> <!-- -->"
            };
            let text = format!("{before}{REST}<Message>yes</Message>{after}{end}");
            assert_eq!(decode(&text).unwrap().message.as_ref(), b"yes", "{text}");
        }
    }

    #[test]
    fn everything_else_is_rejected() {
        for text in [
            "<Notification>",
            "<Notification/>",
            "<Other></Other>",
            "<a><Notification/></a>",
            "<",
            "<?xml?>",
            "<Notification></Notification><Notification></Notification>",
            "<Notification></Notification>x",
            "<Notification></Other>",
            "x<Notification></Notification>",
        ] {
            assert!(decode(text).is_err(), "{text}");
        }
        for element in [
            "<Message>before<b>in</b></Message>",
            "<Message>&nope;</Message>",
            "<Message>&#;</Message>",
            "<Message>&#x;</Message>",
            "<Message>&#+1;</Message>",
            "<Message>&#a;</Message>",
            "<Message>&#x110000;</Message>",
            "<Message>&#99999999999;</Message>",
            "<Message>&#xd83d;</Message>",
            "<Message>&#xde00;</Message>",
            "<Message>&#xd83d;&#xd83d;&#xde00;</Message>",
            "<Message>&#xd83d;x&#xde00;</Message>",
            "<Message>&#xd83d;<![CDATA[]]>&#xde00;</Message>",
            "<Message>&#xd83d;<?pi?>&#xde00;</Message>",
            "<Message>&#xd83d;&amp;</Message>",
            "<Message>&</Message>",
        ] {
            assert!(
                matches!(message_of(element), Err(InvalidNotification::Malformed(_))),
                "{element}"
            );
        }
        assert_eq!(
            message_of(""),
            Err(InvalidNotification::ElementMissing("Message"))
        );
        assert_eq!(
            message_of("<Message/><Message/>"),
            Err(InvalidNotification::ElementDoubled("Message"))
        );
        assert_eq!(
            message_of("<Message/><MessageTag>a</MessageTag><MessageTag/>"),
            Err(InvalidNotification::ElementDoubled("MessageTag"))
        );
    }

    #[test]
    fn a_document_type_or_a_foreign_encoding_is_refused() {
        let bomb = format!(
            "<!DOCTYPE N [<!ENTITY a \
             \"b\">]><Notification>{REST}<Message>&a;</Message></Notification>"
        );
        assert_eq!(decode(&bomb), Err(InvalidNotification::DocumentType));
        let gbk = format!(
            "<?xml version=\"1.0\" encoding=\"GBK\"?><Notification>{REST}<Message/></Notification>"
        );
        assert_eq!(decode(&gbk), Err(InvalidNotification::NotUtf8));
    }

    #[test]
    fn a_carriage_return_is_written_as_a_reference() {
        // Unescaped, the normalisation of line ends would turn it into a line feed (XML 1.0, 2.11).
        let text = format!("<Notification>{REST}<Message>a&#13;\nb&#13;</Message></Notification>");
        let notification = decode(&text).unwrap();
        assert_eq!(notification.message.as_ref(), b"a\r\nb\r");
        let written = encode(&notification);
        assert!(
            written.contains("<Message>a&#13;\nb&#13;</Message>") && !written.contains('\r'),
            "{written}"
        );
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = format!(
            "<X>{}{}</X><Message>ok</Message>",
            "<a>".repeat(100_000),
            "</a>".repeat(100_000)
        );
        assert_eq!(message_of(&deep).as_deref(), Ok("ok"));
    }
}
