//! The document of an answer that is no success.

use crate::mns::Element;
use crate::mns::api::UnexpectedDocument;
use crate::mns::api::value::{needed, of_texts, root};

/// An error document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The stable word, as in `TopicNotExist`.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The id under which the service's owners find the request.
    pub request_id: String,
    /// The host that answered.
    pub host_id: String,
}

impl ApiError {
    /// As the body of an answer that is no success.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let texts = [
            ("Code", self.code.clone()),
            ("Message", self.message.clone()),
            ("RequestId", self.request_id.clone()),
            ("HostId", self.host_id.clone()),
        ];
        of_texts("Error", texts)
    }

    /// Reads that body; what is absent is empty.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]: no error document.
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Error")?;
        let text = |name| element.text_of(name).unwrap_or_default().to_owned();
        Ok(Self {
            code: needed(element, "Code")?,
            message: text("Message"),
            request_id: text("RequestId"),
            host_id: text("HostId"),
        })
    }
}
