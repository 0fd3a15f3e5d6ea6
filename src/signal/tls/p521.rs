//! The key exchange over the curve P-521, which the kubelet's prober offers and ring lacks: [`SECP521R1`].
//!
//! A server that takes another curve costs nothing: rustls makes a key for the first group that it offers, and for another
//! one only where the server asks for it.

use p521::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToSec1Point};
use rustls::{
    Error, NamedGroup, PeerMisbehaved,
    crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup, ring},
    ffdhe_groups::FfdheGroup,
};

/// The length of a number on the curve.
const LENGTH: usize = 66;

pub(super) static SECP521R1: &dyn SupportedKxGroup = &Secp521r1;

#[derive(Debug)]
struct Secp521r1;

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = random_key()?;
        let public = secret.public_key().to_sec1_point(false);
        Ok(Box::new(Exchange {
            public: public.as_bytes().to_vec(),
            secret,
        }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

/// A number of 521 bits is a key unless it is zero or, as one of 2^259 is, too large.
fn random_key() -> Result<SecretKey, GetRandomFailed> {
    let mut bytes = [0; LENGTH];
    ring::default_provider().secure_random.fill(&mut bytes)?;
    if let Some(first) = bytes.first_mut() {
        *first &= 1;
    }
    SecretKey::from_slice(&bytes).map_err(|_| GetRandomFailed)
}

struct Exchange {
    secret: SecretKey,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = PeerMisbehaved::InvalidKeyShare;
        // TLS has points in their whole form alone.
        if theirs.first() != Some(&4) {
            return Err(invalid.into());
        }
        let theirs = PublicKey::from_sec1_bytes(theirs).map_err(|_| invalid)?;
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), theirs.as_affine());
        Ok(shared.raw_secret_bytes().as_slice().into())
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}
