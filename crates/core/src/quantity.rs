//! Amounts of resources, as Kubernetes writes them: `500m`, `1Gi`, `1e3`.
//!
//! The forms are those of `k8s.io/apimachinery/pkg/api/resource`. The crates that read them bring an older client.

use std::str::FromStr;

/// An amount in billionths: nothing finer can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// Billionths in one.
const ONE: i128 = 1_000_000_000;

/// The suffixes and the value of each, in billionths.
const SUFFIXES: [(&str, i128); 16] = [
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", ONE),
    ("k", ONE * 1_000),
    ("M", ONE * 1_000_000),
    ("G", ONE * 1_000_000_000),
    ("T", ONE * 1_000_000_000_000),
    ("P", ONE * 1_000_000_000_000_000),
    ("E", ONE * 1_000_000_000_000_000_000),
    ("Ki", ONE << 10),
    ("Mi", ONE << 20),
    ("Gi", ONE << 30),
    ("Ti", ONE << 40),
    ("Pi", ONE << 50),
    ("Ei", ONE << 60),
];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a quantity: expected a number with a suffix such as 500m or 1Gi, found {0:?}")]
pub struct BadQuantity(String);

impl Quantity {
    /// A whole number of units.
    #[must_use]
    pub fn whole(number: u32) -> Self {
        Self(i128::from(number) * ONE)
    }

    /// The sum, capped at the largest amount.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The product, capped at the largest amount.
    #[must_use]
    pub fn times(self, number: usize) -> Self {
        Self(
            self.0
                .saturating_mul(number.try_into().unwrap_or(i128::MAX)),
        )
    }
}

impl FromStr for Quantity {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text)
            .map(Self)
            .ok_or_else(|| BadQuantity(text.to_owned()))
    }
}

fn read(text: &str) -> Option<i128> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && !"+-.".contains(letter))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let unit = match exponent(suffix) {
        Some(exponent) => power_of_ten(exponent)?,
        None => SUFFIXES.iter().find(|(name, _)| *name == suffix)?.1,
    };
    scaled(number, unit)
}

/// `e3` and `E-2`; a bare `E` is a suffix.
fn exponent(suffix: &str) -> Option<i32> {
    suffix.strip_prefix(['e', 'E'])?.parse().ok()
}

fn power_of_ten(exponent: i32) -> Option<i128> {
    let digits = u32::try_from(exponent.checked_add(9)?).ok()?;
    10_i128.checked_pow(digits)
}

/// A decimal number of units, rounded up as by Kubernetes.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    // Further digits count for no unit.
    let fraction = fraction.get(..fraction.len().min(15)).unwrap_or_default();
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let below_one = 10_i128.checked_pow(fraction.len().try_into().ok()?)?;
    let product = digits.checked_mul(unit)?;
    let rounded_up = product.checked_add(below_one - 1)? / below_one;
    Some(if negative { -rounded_up } else { rounded_up })
}
