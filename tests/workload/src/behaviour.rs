//! The behaviours of a pod, as they are written in JSON.
//!
//! The one way in is [`Behaviour::from_str`], which takes the JSON and a few short words for the
//! cases used most.

use std::num::NonZeroU64;
use std::str::FromStr;

use hyper::StatusCode;
use hyper::header::{HeaderValue, InvalidHeaderValue};
use serde::{Deserialize, Serialize};

/// The whole behaviour of a pod. What is left out is as in a healthy pod, so a switch always
/// replaces everything that was there before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// What becomes of connections, for every path of the traffic port.
    pub socket: Socket,
    /// Any path but `/healthz`, `/readyz` and `/metrics`.
    pub traffic: Answers,
    /// `/healthz`.
    pub health: Answers,
    /// `/readyz`: 200 or 503.
    pub ready: bool,
    /// How much of one processor it uses up, in per cent; at most 80.
    pub busy_percent: u8,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            socket: Socket::default(),
            traffic: Answers::default(),
            health: Answers::default(),
            ready: true,
            busy_percent: 0,
        }
    }
}

/// The traffic port below HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Socket {
    /// Requests are answered.
    #[default]
    Serve,
    /// Requests are read and never answered, whatever their path.
    Hang,
    /// Connections are accepted and closed at once.
    Close,
    /// Nothing listens: the kernel refuses connections.
    Refuse,
}

/// How requests to one group of paths are answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// The answer.
    pub answer: Answer,
    /// How long it is held back.
    pub delay_ms: u64,
    /// The share of requests that get this answer and this delay; the others get 200 at once.
    pub share: Share,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// 200.
    #[default]
    Ok,
    /// This status.
    Status(Status),
    /// 302 to this location.
    Redirect(Location),
    /// The request is read and never answered.
    Hang,
    /// The request is read and the connection closed.
    Close,
    /// 200 and a body that never ends, as fast as it is read.
    Endless,
    /// 200 and a body of one byte in this many milliseconds that never ends.
    DripMs(NonZeroU64),
}

/// A status that can end an exchange: 200 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Status(StatusCode);

impl Status {
    /// The status as HTTP knows it.
    #[must_use]
    pub fn code(self) -> StatusCode {
        self.0
    }
}

impl TryFrom<u16> for Status {
    type Error = Invalid;

    fn try_from(code: u16) -> Result<Self, Invalid> {
        match StatusCode::from_u16(code) {
            Ok(status) if (200..=599).contains(&code) => Ok(Self(status)),
            _ => Err(Invalid::Status(code)),
        }
    }
}

impl From<Status> for u16 {
    fn from(status: Status) -> Self {
        status.0.as_u16()
    }
}

/// Where a redirect leads: anything that can stand in a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    text: String,
    header: HeaderValue,
}

impl Location {
    /// The value of the `Location` header.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl TryFrom<String> for Location {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let header = HeaderValue::from_str(&text).map_err(Invalid::Location)?;
        Ok(Self { text, header })
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.text
    }
}

/// A share of requests, kept in whole millionths: 0.3 is then exactly three of every ten, where
/// floating point would sometimes make it two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share {
    millionths: u32,
}

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// Whether the request with this number, counted from 0, is among the share. The hits are
    /// spread evenly: of any ten in a row, 0.3 hits three.
    #[must_use]
    pub fn hits(self, number: u64) -> bool {
        let before = |n: u128| n * u128::from(self.millionths) / u128::from(Self::WHOLE);
        before(u128::from(number) + 1) > before(u128::from(number))
    }
}

impl Default for Share {
    fn default() -> Self {
        Self {
            millionths: Self::WHOLE,
        }
    }
}

impl TryFrom<f64> for Share {
    type Error = Invalid;

    fn try_from(share: f64) -> Result<Self, Invalid> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Invalid::Share(share));
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above: between 0 and a million"
        )]
        let millionths = (share * f64::from(Self::WHOLE)).round() as u32;
        Ok(Self { millionths })
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        f64::from(share.millionths) / f64::from(Share::WHOLE)
    }
}

/// Why a text is no behaviour.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It looks like JSON.
    #[error("read behaviour: {0}")]
    Json(#[source] serde_json::Error),
    /// It does not.
    #[error(
        "read behaviour: `{0}` is neither JSON nor one of ok, unready, hang, close, refuse or a status"
    )]
    Word(String),
    /// A status HTTP does not end with.
    #[error("status {0} is not between 200 and 599")]
    Status(u16),
    /// More than all or less than none.
    #[error("share {0} is not between 0 and 1")]
    Share(f64),
    /// A location that cannot be sent.
    #[error("location is not a header value")]
    Location(#[source] InvalidHeaderValue),
}

impl FromStr for Behaviour {
    type Err = Invalid;

    /// JSON, or a word: `ok`, `unready`, `hang`, `close`, `refuse`, or a status such as `500` for
    /// traffic and `/healthz` alike.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.starts_with('{') {
            return serde_json::from_str(text).map_err(Invalid::Json);
        }
        let healthy = Self::default();
        let socket = |socket| Self {
            socket,
            ..Self::default()
        };
        Ok(match text {
            "ok" => healthy,
            "unready" => Self {
                ready: false,
                ..healthy
            },
            "hang" => socket(Socket::Hang),
            "close" => socket(Socket::Close),
            "refuse" => socket(Socket::Refuse),
            _ => {
                let code: u16 = text.parse().map_err(|_| Invalid::Word(text.to_owned()))?;
                let answers = Answers {
                    answer: Answer::Status(Status::try_from(code)?),
                    ..Answers::default()
                };
                Self {
                    traffic: answers.clone(),
                    health: answers,
                    ..healthy
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

    use super::*;

    #[test]
    fn a_share_hits_exactly_that_many_of_any_ten_in_a_row() {
        for tenths in 0..=10_usize {
            #[allow(clippy::cast_precision_loss, reason = "at most ten")]
            let share = Share::try_from(tenths as f64 / 10.0).unwrap();
            for start in (0..50).chain([1_000_000_007, u64::MAX - 10]) {
                let hits = (start..start + 10).filter(|n| share.hits(*n)).count();
                assert_eq!(hits, tenths, "share {share:?} from request {start}");
            }
        }
    }

    #[test]
    fn a_small_share_is_still_exact() {
        let share = Share::try_from(0.29).unwrap();
        assert_eq!((0..100).filter(|n| share.hits(*n)).count(), 29);
    }

    #[test]
    fn an_omitted_part_of_a_behaviour_is_healthy() {
        let behaviour: Behaviour = r#"{"traffic": {"answer": {"status": 500}, "share": 0.3}}"#
            .parse()
            .unwrap();
        assert_eq!(behaviour.health, Answers::default());
        assert_eq!(behaviour.socket, Socket::Serve);
        assert!(behaviour.ready);
        assert_eq!(
            behaviour.traffic,
            Answers {
                answer: Answer::Status(Status::try_from(500).unwrap()),
                delay_ms: 0,
                share: Share::try_from(0.3).unwrap(),
            }
        );
    }

    #[test]
    fn every_answer_reads_as_it_is_written() {
        let written = [
            r#"{"traffic":{"answer":"ok","delay_ms":20,"share":0.25}}"#,
            r#"{"traffic":{"answer":{"redirect":"http://elsewhere/"}}}"#,
            r#"{"health":{"answer":"hang"},"ready":false}"#,
            r#"{"health":{"answer":"close"}}"#,
            r#"{"health":{"answer":"endless"}}"#,
            r#"{"health":{"answer":{"drip_ms":50}}}"#,
            r#"{"socket":"refuse"}"#,
            r#"{"busy_percent":30}"#,
        ];
        for text in written {
            let read: Behaviour = text.parse().unwrap();
            assert_ne!(read, Behaviour::default(), "{text} said nothing");
            let again = serde_json::to_string(&read).unwrap();
            assert_eq!(read, again.parse().unwrap(), "{text} became {again}");
        }
    }

    #[test]
    fn one_word_stands_for_each_usual_behaviour() {
        let said = |word: &str| word.parse::<Behaviour>().unwrap();
        assert_eq!(said(" ok\n"), Behaviour::default());
        assert!(!said("unready").ready);
        assert_eq!(said("hang").socket, Socket::Hang);
        assert_eq!(said("close").socket, Socket::Close);
        assert_eq!(said("refuse").socket, Socket::Refuse);
        let bad = said("503");
        assert_eq!(bad.traffic, bad.health);
        assert_eq!(
            bad.health.answer,
            Answer::Status(Status::try_from(503).unwrap())
        );
    }

    #[test]
    fn a_mistake_is_refused_and_named() {
        let cases = [
            ("sick", "`sick`"),
            ("99", "status 99"),
            ("", "neither JSON"),
            (r#"{"trafic": {}}"#, "trafic"),
            (r#"{"traffic": {"share": 1.5}}"#, "share 1.5"),
            (r#"{"traffic": {"answer": {"status": 101}}}"#, "status 101"),
            (r#"{"traffic": {"answer": {"drip_ms": 0}}}"#, "nonzero"),
            (
                r#"{"traffic": {"answer": {"redirect": "a\nb"}}}"#,
                "location",
            ),
        ];
        for (text, named) in cases {
            let error = text.parse::<Behaviour>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
