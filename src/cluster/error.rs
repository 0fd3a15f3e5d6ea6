//! What the API server answered, in words.

use kube::Error;

/// One line: the status code and message of a refusal, else what went wrong on the way.
#[must_use]
pub fn in_short(error: &Error) -> String {
    match error {
        Error::Api(status) => format!("HTTP {} {}: {}", status.code, status.reason, status.message),
        Error::Service(source) => chain(source.as_ref()),
        other => chain(other),
    }
}

/// An error and its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
