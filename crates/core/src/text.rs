//! Text of limited length.

/// The first bytes of a text, never half a character.
#[must_use]
pub fn truncate(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
