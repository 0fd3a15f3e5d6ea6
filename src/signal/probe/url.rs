//! The URL of a probe or of a redirect, read and written as Go's `net/url` does it for the kubelet: [`ProbeUrl`].
//!
//! A browser's rules, which other libraries follow, rewrite paths that a pod's server may tell apart: dot segments, `%2e`,
//! `\`, `'`, `|`. Text is bytes, because a `Location` need not be UTF-8.

use std::net::Ipv6Addr;

/// Why a text is no URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a URL")]
pub(super) struct NotAUrl;

/// Where a character needs no escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Host,
    Zone,
    User,
    Path,
    Fragment,
}

/// A URL, absolute or relative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProbeUrl {
    pub(super) scheme: String,
    opaque: Vec<u8>,
    pub(super) user: Option<User>,
    /// As it is written, but for escapes: `host`, `host:port`, `[host]:port`.
    pub(super) host: Vec<u8>,
    /// As it is sent.
    path: Vec<u8>,
    /// What stands behind the question mark, if there is one.
    query: Option<Vec<u8>>,
    fragment: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: Vec<u8>,
    pub(super) password: Option<Vec<u8>>,
}

impl ProbeUrl {
    /// The URL of a probe: a path that is no URL is sent as it stands, with what is special in it escaped.
    pub(super) fn of_probe(scheme: &str, host: &str, path: &str) -> Self {
        let mut url = Self::parse(path.as_bytes()).unwrap_or_else(|NotAUrl| Self {
            path: escape(path.as_bytes(), Part::Path),
            ..Self::default()
        });
        scheme.clone_into(&mut url.scheme);
        host.as_bytes().clone_into(&mut url.host);
        if !url.path.is_empty() && !url.path.starts_with(b"/") {
            url.path.insert(0, b'/');
        }
        url
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, NotAUrl> {
        let (text, fragment) = cut(text, b'#');
        let mut url = Self::parse_without_fragment(text)?;
        url.fragment = escaped(fragment.unwrap_or_default(), Part::Fragment)?;
        Ok(url)
    }

    fn parse_without_fragment(text: &[u8]) -> Result<Self, NotAUrl> {
        if text.iter().any(u8::is_ascii_control) {
            return Err(NotAUrl);
        }
        let (scheme, rest) = split_scheme(text)?;
        let (rest, query) = cut(rest, b'?');
        let mut url = Self {
            scheme,
            query: query.map(<[u8]>::to_vec),
            ..Self::default()
        };
        if !rest.starts_with(b"/") {
            if url.is_absolute() {
                rest.clone_into(&mut url.opaque);
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err(NotAUrl);
            }
        }
        let has_authority =
            rest.starts_with(b"//") && (url.is_absolute() || !rest.starts_with(b"///"));
        let path = match rest.strip_prefix(b"//") {
            Some(rest) if has_authority => {
                let end = rest.iter().position(|byte| *byte == b'/');
                let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
                (url.user, url.host) = parse_authority(&url.scheme, authority)?;
                path
            }
            _ => rest,
        };
        url.path = escaped(path, Part::Path)?;
        Ok(url)
    }

    pub(super) fn is_absolute(&self) -> bool {
        !self.scheme.is_empty()
    }

    /// Where a reference leads to from here.
    pub(super) fn resolve(&self, reference: &Self) -> Self {
        let mut url = reference.clone();
        if !reference.is_absolute() {
            self.scheme.clone_into(&mut url.scheme);
        }
        if reference.is_absolute() || !reference.host.is_empty() || reference.user.is_some() {
            url.path = resolve_path(&[], &reference.path);
            return url;
        }
        if reference.path.is_empty() && reference.query.is_none() {
            url.query = self.query.clone().filter(|query| !query.is_empty());
            if reference.fragment.is_empty() {
                self.fragment.clone_into(&mut url.fragment);
            }
        }
        self.host.clone_into(&mut url.host);
        url.user.clone_from(&self.user);
        url.path = resolve_path(&self.path, &reference.path);
        url
    }

    /// Host without port, and port without host.
    pub(super) fn host_and_port(&self) -> (&[u8], &[u8]) {
        let mut host = &self.host[..];
        let mut port = &b""[..];
        if let Some(colon) = host.iter().rposition(|byte| *byte == b':') {
            let (before, after) = host.split_at(colon);
            if is_port(after) {
                (host, port) = (before, after.get(1..).unwrap_or_default());
            }
        }
        let inner = host
            .strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"));
        (inner.unwrap_or(host), port)
    }

    /// Path and query as they are sent.
    pub(super) fn request_target(&self) -> Vec<u8> {
        let mut target = self.path.clone();
        if target.is_empty() {
            target.push(b'/');
        }
        self.append_query(&mut target);
        target
    }

    /// The whole without the user, as the next request's `Referer` says it.
    pub(super) fn without_user(&self) -> Vec<u8> {
        let mut text = format!("{}://", self.scheme).into_bytes();
        text.extend(escape(&self.host, Part::Host));
        text.extend_from_slice(&self.path);
        self.append_query(&mut text);
        if !self.fragment.is_empty() {
            text.push(b'#');
            text.extend_from_slice(&self.fragment);
        }
        text
    }

    fn append_query(&self, text: &mut Vec<u8>) {
        if let Some(query) = &self.query {
            text.push(b'?');
            text.extend_from_slice(query);
        }
    }
}

/// What stands before the first such byte, and behind it.
fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == at) {
        None => (text, None),
        Some(index) => {
            let (before, after) = text.split_at(index);
            (before, after.get(1..))
        }
    }
}

fn split_scheme(text: &[u8]) -> Result<(String, &[u8]), NotAUrl> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    let (Some(end), Some(first)) = (end, text.first()) else {
        return Ok((String::new(), text));
    };
    let (scheme, rest) = text.split_at(end);
    match rest.strip_prefix(b":") {
        Some(_) if scheme.is_empty() => Err(NotAUrl),
        Some(rest) if first.is_ascii_alphabetic() => {
            let scheme = String::from_utf8_lossy(scheme).to_ascii_lowercase();
            Ok((scheme, rest))
        }
        _ => Ok((String::new(), text)),
    }
}

fn parse_authority(scheme: &str, text: &[u8]) -> Result<(Option<User>, Vec<u8>), NotAUrl> {
    let Some(at) = text.iter().rposition(|byte| *byte == b'@') else {
        return Ok((None, parse_host(scheme, text)?));
    };
    let (user, host) = text.split_at(at);
    let host = parse_host(scheme, host.get(1..).unwrap_or_default())?;
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
    if !user.iter().all(is_allowed) {
        return Err(NotAUrl);
    }
    let (name, password) = cut(user, b':');
    let user = User {
        name: unescape(name, Part::User)?,
        password: password
            .map(|text| unescape(text, Part::User))
            .transpose()?,
    };
    Ok((Some(user), host))
}

fn parse_host(scheme: &str, text: &[u8]) -> Result<Vec<u8>, NotAUrl> {
    match text.iter().rposition(|byte| *byte == b'[') {
        None => {
            let is_colon = |byte: &u8| *byte == b':';
            let colon = if matches!(scheme, "http" | "https") {
                text.iter().position(is_colon)
            } else {
                text.iter().rposition(is_colon)
            };
            let (_, port) = text.split_at(colon.unwrap_or(text.len()));
            if !is_port(port) {
                return Err(NotAUrl);
            }
            unescape(text, Part::Host)
        }
        Some(0) => parse_bracketed(text),
        Some(_) => Err(NotAUrl),
    }
}

fn parse_bracketed(text: &[u8]) -> Result<Vec<u8>, NotAUrl> {
    let end = text.iter().rposition(|byte| *byte == b']').ok_or(NotAUrl)?;
    let (inner, port) = text.split_at(end);
    let inner = inner.get(1..).unwrap_or_default();
    let port = port.get(1..).unwrap_or_default();
    if !is_port(port) {
        return Err(NotAUrl);
    }
    let zone = inner.windows(3).position(|window| window == b"%25");
    let (address, zone) = inner.split_at(zone.unwrap_or(inner.len()));
    let address = unescape(address, Part::Host)?;
    let zone = unescape(zone, Part::Zone)?;
    let is_address = str::from_utf8(&address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    if !is_address || zone == b"%" {
        return Err(NotAUrl);
    }
    Ok([b"[", &address[..], &zone, b"]", port].concat())
}

/// Nothing, or a colon and digits, of which there may be none.
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    }
}

/// A path resolved from another one's place. Dot segments go, escaped ones stay.
fn resolve_path(base: &[u8], reference: &[u8]) -> Vec<u8> {
    let whole = match reference.first() {
        None => base.to_vec(),
        Some(b'/') => reference.to_vec(),
        Some(_) => {
            let last = base.iter().rposition(|byte| *byte == b'/');
            let (directory, _) = base.split_at(last.map_or(0, |last| last + 1));
            [directory, reference].concat()
        }
    };
    if whole.is_empty() {
        return whole;
    }
    // As Go does it, step by step: what becomes of empty segments behind dots is no rule but this loop.
    let mut kept = vec![b'/'];
    let mut is_first = true;
    let mut ends_with_dots = false;
    for segment in whole.split(|byte| *byte == b'/') {
        ends_with_dots = matches!(segment, b"." | b"..");
        match segment {
            b"." => is_first = false,
            b".." => {
                let last = kept.iter().skip(1).rposition(|byte| *byte == b'/');
                kept.truncate(last.map_or(1, |last| last + 1));
                is_first = kept.len() == 1;
            }
            segment => {
                if !is_first {
                    kept.push(b'/');
                }
                kept.extend_from_slice(segment);
                is_first = false;
            }
        }
    }
    if ends_with_dots {
        kept.push(b'/');
    }
    if kept.get(1) == Some(&b'/') {
        kept.remove(0);
    }
    kept
}

/// The form of a path or fragment that is sent: as it is written, if a URL may be written so, or else with everything
/// escaped that must be.
fn escaped(text: &[u8], part: Part) -> Result<Vec<u8>, NotAUrl> {
    let plain = unescape(text, part)?;
    let may_stand =
        |byte: u8| byte == b'%' || b"!$&'()*+,;=:@[]".contains(&byte) || is_plain(byte, part);
    if text.iter().all(|byte| may_stand(*byte)) {
        return Ok(text.to_vec());
    }
    Ok(escape(&plain, part))
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or_default();
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        if is_plain(*byte, part) {
            escaped.push(*byte);
        } else {
            escaped.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    escaped
}

fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, NotAUrl> {
    let in_host = matches!(part, Part::Host | Part::Zone);
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            if in_host && first.is_ascii() && !is_plain(*first, part) {
                return Err(NotAUrl);
            }
            plain.push(*first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_first_chunk::<2>().ok_or(NotAUrl)?;
        let byte = hex(digits[0])? << 4 | hex(digits[1])?;
        let is_percent = digits == b"25";
        let is_refused = match part {
            // Only what is not ASCII may be escaped in a host.
            Part::Host => byte.is_ascii() && !is_percent,
            Part::Zone => !is_percent && byte != b' ' && !is_plain(byte, Part::Host),
            _ => false,
        };
        if is_refused {
            return Err(NotAUrl);
        }
        plain.push(byte);
        rest = after;
    }
    Ok(plain)
}

fn hex(digit: u8) -> Result<u8, NotAUrl> {
    let value = char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok());
    value.ok_or(NotAUrl)
}

/// Whether Go leaves a byte unescaped.
fn is_plain(byte: u8, part: Part) -> bool {
    let further: &[u8] = match part {
        Part::Host | Part::Zone => b"!\"$&'()*+,:;<=>[]",
        Part::User => b"$&+,;=",
        Part::Path => b"$&+,/:;=@",
        Part::Fragment => b"!$&()*+,/:;=?@",
    };
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || further.contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[a-z/.:@%?#\\[\\]0-9\u{0}-\u{ff}]{0,60}", base in "/[a-z/.%2e?]{0,20}") {
            let base = ProbeUrl::of_probe("http", "127.0.0.1:80", &base);
            if let Ok(reference) = ProbeUrl::parse(text.as_bytes()) {
                let url = base.resolve(&reference);
                let target = url.request_target();
                prop_assert!(!target.iter().any(u8::is_ascii_control));
                prop_assert!(!url.without_user().iter().any(u8::is_ascii_control));
            }
        }

        #[test]
        fn what_is_sent_is_one_line(path in "/[^\u{0}-\u{1f}\u{7f}]{0,60}") {
            let url = ProbeUrl::of_probe("http", "127.0.0.1:80", &path);
            prop_assert!(url.request_target().starts_with(b"/"));
            prop_assert!(!url.request_target().iter().any(u8::is_ascii_control));
        }
    }
}
