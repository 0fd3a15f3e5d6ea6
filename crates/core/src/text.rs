//! Text with a bound.

/// The first bytes of a text, never a part of a character.
#[must_use]
pub fn truncate(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
