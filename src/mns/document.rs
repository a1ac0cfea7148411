//! The XML documents of the REST API (`docs/emulator.md`): small trees of elements with text.
//!
//! Elements are matched by their local name, because clients write the namespace with and without
//! its final slash. Output has the layout of the service.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

/// How deep elements may be nested. The deepest document of the API has four levels.
const DEPTH_MAX: usize = 8;
/// The namespace as the service writes it: without a final slash.
const NAMESPACE: &str = "http://mns.aliyuncs.com/doc/v1";

/// An element with its text and its children.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// The local name.
    pub name: String,
    /// The text directly inside, decoded and not trimmed. Meaningless if there are children.
    pub text: String,
    /// The elements inside, in order.
    pub children: Vec<Self>,
}

/// Bytes that are not a document of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the document is malformed: {0}")]
pub struct MalformedDocument(String);

impl Element {
    /// An element that contains text.
    #[must_use]
    pub fn of_text(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            text: text.into(),
            children: Vec::new(),
        }
    }

    /// An element that contains other elements.
    #[must_use]
    pub fn of_children(name: &str, children: Vec<Self>) -> Self {
        Self {
            name: name.to_owned(),
            text: String::new(),
            children,
        }
    }

    /// The first child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of that name.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`MalformedDocument`]: not well-formed XML, with a document type, or too deeply nested.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedDocument> {
        let text = std::str::from_utf8(bytes).map_err(malformed)?;
        // A byte order mark is not part of the document (XML 1.0, 4.3.3).
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        // The open elements, the root first. The end of the root completes the document.
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            match reader.read_event().map_err(malformed)? {
                Event::Start(start) => {
                    // Elements are written and dropped recursively, so their depth is bounded.
                    if open.len() >= DEPTH_MAX || root.is_some() {
                        return Err(malformed("elements are nested too deep or follow the root"));
                    }
                    open.push(Self::opened(&start));
                }
                Event::Empty(start) => close(Self::opened(&start), &mut open, &mut root)?,
                Event::End(_) => match open.pop() {
                    Some(element) => close(element, &mut open, &mut root)?,
                    None => return Err(malformed("an element ends that was not open")),
                },
                Event::Text(text) => push(&mut open, &text)?,
                Event::CData(text) => push(&mut open, &text)?,
                Event::GeneralRef(reference) => {
                    match reference.resolve_char_ref().map_err(malformed)? {
                        Some(character) => push(&mut open, character.encode_utf8(&mut [0; 4]))?,
                        None => match resolve_predefined_entity(&reference) {
                            Some(text) => push(&mut open, text)?,
                            None => {
                                return Err(malformed(
                                    "it refers to an entity that XML does not define",
                                ));
                            }
                        },
                    }
                }
                // A declared encoding is ignored: the bytes are UTF-8, or there would be no text.
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                // Entity bombs need one (protocol.md 1.4).
                Event::DocType(_) => return Err(malformed("it has a document type")),
                Event::Eof if !open.is_empty() => {
                    return Err(malformed("it ends inside an element"));
                }
                Event::Eof => return root.ok_or_else(|| malformed("it has no element")),
            }
        }
    }

    /// The document with this element as its root.
    #[must_use]
    pub fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" ?>");
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, depth: usize) {
        let line = format!("\n{}", "  ".repeat(depth));
        let name = &self.name;
        let namespace = if depth == 0 {
            format!(" xmlns=\"{NAMESPACE}\"")
        } else {
            String::new()
        };
        out.push_str(&format!("{line}<{name}{namespace}>"));
        if self.children.is_empty() {
            out.push_str(&escaped(&self.text));
        } else {
            self.children
                .iter()
                .for_each(|child| child.write(out, depth.saturating_add(1)));
            out.push_str(&line);
        }
        out.push_str(&format!("</{name}>"));
    }

    fn opened(start: &BytesStart<'_>) -> Self {
        Self::of_text(start.local_name().as_ref(), "")
    }
}

/// A text as written in an element. Carriage returns become references, because a reader takes a
/// literal one for a line feed (XML 1.0, 2.11).
pub(super) fn escaped(text: &str) -> String {
    // The ampersand first, because the other replacements contain one.
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#13;")
}

/// Adds a complete element to its parent, or makes it the root.
fn close(
    element: Element,
    open: &mut [Element],
    root: &mut Option<Element>,
) -> Result<(), MalformedDocument> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err(malformed("it has two roots")),
    }
    Ok(())
}

fn push(open: &mut [Element], text: &str) -> Result<(), MalformedDocument> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim_ascii().is_empty() => {}
        None => return Err(malformed("there is text outside of the root")),
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "takes what map_err gives")]
fn malformed(error: impl ToString) -> MalformedDocument {
    MalformedDocument(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_answer_to_a_publish_has_the_length_of_a_real_one() {
        // A recording of 2026 (`docs/emulator.md`), without a line feed at its end. A capture of
        // 2022 has this Content-Length too.
        let answer = Element::of_children(
            "Message",
            vec![
                Element::of_text("MessageId", "7F3D61FE01E545217FCC712779C9BBF5"),
                Element::of_text("MessageBodyMD5", "5EB63BBBE01EEED093CB22BB8F5ACDC3"),
            ],
        );
        let text = concat!(
            "<?xml version=\"1.0\" ?>\n",
            "<Message xmlns=\"http://mns.aliyuncs.com/doc/v1\">\n",
            "  <MessageId>7F3D61FE01E545217FCC712779C9BBF5</MessageId>\n",
            "  <MessageBodyMD5>5EB63BBBE01EEED093CB22BB8F5ACDC3</MessageBodyMD5>\n",
            "</Message>",
        );
        assert_eq!((answer.document().as_str(), text.len()), (text, 208));
        assert_eq!(
            Element::parse(answer.document().as_bytes())
                .unwrap()
                .text_of("MessageBodyMD5")
                .unwrap()
                .len(),
            32
        );
    }

    #[test]
    fn a_carriage_return_survives_a_reader_that_normalises_line_ends() {
        let written = Element::of_text("MessageBody", "a\r\nb\rc\n").document();
        assert!(
            written.ends_with(">a&#13;\nb&#13;c\n</MessageBody>"),
            "{written}"
        );
    }

    #[test]
    fn requests_of_the_sdks_are_read_whatever_their_namespace_and_order() {
        for text in [
            concat!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
                "<Message xmlns=\"http://mns.aliyuncs.com/doc/v1/\"><MessageTag>t</MessageTag>",
                "<MessageBody>a&lt;b&#20013;<![CDATA[&]]></MessageBody></Message>",
            ),
            "\u{feff}<m:Message xmlns:m='x'><!-- c \
             --><MessageBody>a&lt;b中&amp;</MessageBody><MessageTag>t</MessageTag>\
             <New><Deeper>1</Deeper></New></m:Message>\n",
        ] {
            let message = Element::parse(text.as_bytes()).unwrap();
            assert_eq!(message.name, "Message");
            assert_eq!(message.text_of("MessageBody"), Some("a<b中&"));
            assert_eq!(message.text_of("MessageTag"), Some("t"));
        }
        assert_eq!(
            Element::parse(b"<Topic xmlns=\"x\"></Topic>").unwrap(),
            Element::of_text("Topic", "")
        );
        assert_eq!(
            Element::parse(b"<Topic/>").unwrap(),
            Element::of_text("Topic", "")
        );
    }

    #[test]
    fn everything_else_is_rejected() {
        let deep = format!("{}{}", "<a>".repeat(9), "</a>".repeat(9));
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a></a>x",
            "<!DOCTYPE a><a/>",
            "<a>&b;</a>",
            "\u{0}",
            &deep,
        ] {
            assert!(Element::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Element::parse(b"<a>\xff</a>").is_err());
    }

    proptest! {
        #[test]
        fn documents_survive_encoding(texts in proptest::collection::vec(any::<String>(), 1..4)) {
            let children = texts.iter().map(|text| Element::of_text("Item", text));
            let children: Vec<Element> = children.collect();
            let written = Element::of_children("List", children.clone()).document();
            let parsed = Element::parse(written.as_bytes()).unwrap();
            prop_assert_eq!(parsed.children, children);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Element::parse(&[b"<a>", bytes.as_slice()].concat()));
        }
    }
}
