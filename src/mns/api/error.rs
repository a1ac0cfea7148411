//! The document in an error response.

use crate::mns::Element;
use crate::mns::api::UnexpectedDocument;
use crate::mns::api::value::{needed, of_texts, root};

/// An error document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The stable error code, as in `TopicNotExist`.
    pub code: String,
    /// The description.
    pub message: String,
    /// The id by which the service's support finds the request.
    pub request_id: String,
    /// The host that answered.
    pub host_id: String,
}

impl ApiError {
    /// Converts to the body of an error response.
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

    /// Reads such a body. Absent values are empty.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]: it is not an error document.
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
