//! The TLS 1.2 cipher suites ECDHE with AES-CBC and SHA-1, which the kubelet's prober offers and ring lacks: [`suites`].
//!
//! They are for probes alone. A probe takes any certificate, so whoever can change its records can answer it as well:
//! that the time of a check depends on the padding gives nothing away.

use std::{marker::PhantomData, sync::OnceLock};

use aes::{Aes128, Aes256};
use cbc::{
    Decryptor, Encryptor,
    cipher::{
        BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit,
        KeyIvInit, block_padding::NoPadding,
    },
};
use hmac::{Hmac, Mac};
use rustls::{
    CipherSuite, ConnectionTrafficSecrets, Error, SupportedCipherSuite, Tls12CipherSuite,
    crypto::{
        CipherSuiteCommon,
        cipher::{
            AeadKey, InboundOpaqueMessage, InboundPlainMessage, KeyBlockShape, MessageDecrypter,
            MessageEncrypter, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload,
            Tls12AeadAlgorithm, UnsupportedOperationError, make_tls12_aad,
        },
        ring,
    },
};
use sha1::Sha1;

const BLOCK: usize = 16;
/// The length of a key and of a code of HMAC-SHA1.
const MAC: usize = 20;
/// The most that a record may hold.
const MAX_FRAGMENT: usize = 1 << 14;

/// The suites in the kubelet's order, after all that ring has.
pub(super) fn suites() -> impl Iterator<Item = SupportedCipherSuite> {
    static SUITES: OnceLock<Vec<Tls12CipherSuite>> = OnceLock::new();
    let suites = SUITES.get_or_init(|| {
        use ring::cipher_suite as like;
        let ecdsa = like::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
        let rsa = like::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
        let wanted = [
            (
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
                ecdsa,
                AES_128,
            ),
            (
                CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
                rsa,
                AES_128,
            ),
            (
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
                ecdsa,
                AES_256,
            ),
            (
                CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
                rsa,
                AES_256,
            ),
        ];
        wanted
            .into_iter()
            .filter_map(|(suite, like, records)| suite_like(suite, like, records))
            .collect()
    });
    suites.iter().map(SupportedCipherSuite::Tls12)
}

/// A suite that differs from `like` in how records are sealed: all suites of before SHA-384 derive their keys by SHA-256.
fn suite_like(
    suite: CipherSuite,
    like: SupportedCipherSuite,
    records: &'static dyn Tls12AeadAlgorithm,
) -> Option<Tls12CipherSuite> {
    let SupportedCipherSuite::Tls12(like) = like else {
        return None;
    };
    Some(Tls12CipherSuite {
        common: CipherSuiteCommon {
            suite,
            hash_provider: like.common.hash_provider,
            // A probe sends a handful of records.
            confidentiality_limit: 1 << 20,
        },
        prf_provider: like.prf_provider,
        kx: like.kx,
        sign: like.sign,
        aead_alg: records,
    })
}

const AES_128: &dyn Tls12AeadAlgorithm = &Records::<Aes128, 16>(PhantomData);
const AES_256: &dyn Tls12AeadAlgorithm = &Records::<Aes256, 32>(PhantomData);

/// How records are sealed with a cipher whose key has so many bytes.
struct Records<C, const KEY: usize>(PhantomData<fn() -> C>);

impl<C, const KEY: usize> Tls12AeadAlgorithm for Records<C, KEY>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + 'static,
{
    fn encrypter(&self, key: AeadKey, iv: &[u8], _: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Keys::<C>::new(key.as_ref(), iv))
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Keys::<C>::new(key.as_ref(), iv))
    }

    /// The key block of these suites is the two keys of the MAC, then the two of the cipher. They stand where a suite that
    /// rustls knows has its keys and the fixed parts of its nonces.
    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape {
            enc_key_len: MAC,
            fixed_iv_len: KEY,
            explicit_nonce_len: 0,
        }
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: &[u8],
        _: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// The keys of one direction.
struct Keys<C> {
    mac: Vec<u8>,
    key: Vec<u8>,
    cipher: PhantomData<fn() -> C>,
}

impl<C> Keys<C> {
    fn new(mac: &[u8], key: &[u8]) -> Self {
        Self {
            mac: mac.to_vec(),
            key: key.to_vec(),
            cipher: PhantomData,
        }
    }

    /// The code over the header of a record, and what is in it.
    fn mac(&self, header: &[u8], fragment: &[u8]) -> Option<Hmac<Sha1>> {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.mac).ok()?;
        mac.update(header);
        mac.update(fragment);
        Some(mac)
    }
}

impl<C> MessageEncrypter for Keys<C>
where
    C: BlockCipherEncrypt + KeyInit,
{
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let length = message.payload.len();
        let header = make_tls12_aad(seq, message.typ, message.version, length);
        let mut block = message.payload.to_vec();
        let mac = self.mac(&header, &block).ok_or(Error::EncryptError)?;
        block.extend_from_slice(&mac.finalize().into_bytes());
        // At least one byte of padding, each of which says how many others there are.
        let padding = BLOCK - block.len() % BLOCK;
        let byte = u8::try_from(padding - 1).unwrap_or_default();
        block.resize(block.len() + padding, byte);

        let mut iv = [0; BLOCK];
        ring::default_provider().secure_random.fill(&mut iv)?;
        let sealed = block.len();
        Encryptor::<C>::new_from_slices(&self.key, &iv)
            .map_err(|_| Error::EncryptError)?
            .encrypt_padded::<NoPadding>(&mut block, sealed)
            .map_err(|_| Error::EncryptError)?;
        let mut payload = PrefixedPayload::with_capacity(BLOCK + sealed);
        payload.extend_from_slice(&iv);
        payload.extend_from_slice(&block);
        Ok(OutboundOpaqueMessage::new(
            message.typ,
            message.version,
            payload,
        ))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        BLOCK + ((payload_len + MAC) / BLOCK + 1) * BLOCK
    }
}

impl<C> MessageDecrypter for Keys<C>
where
    C: BlockCipherDecrypt + KeyInit,
{
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let (typ, version) = (message.typ, message.version);
        let length = self.open(&mut message.payload, |length| {
            make_tls12_aad(seq, typ, version, length)
        });
        let length = length.ok_or(Error::DecryptError)?;
        if length > MAX_FRAGMENT {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok(message.into_plain_message_range(BLOCK..BLOCK + length))
    }
}

impl<C> Keys<C>
where
    C: BlockCipherDecrypt + KeyInit,
{
    /// Decrypts a record where it is, behind its initialisation vector. Returns the length of what is in it, if padding and
    /// code are right.
    fn open(&self, record: &mut [u8], header: impl Fn(usize) -> [u8; 13]) -> Option<usize> {
        let (iv, sealed) = record.split_at_mut_checked(BLOCK)?;
        let opened = Decryptor::<C>::new_from_slices(&self.key, iv)
            .ok()?
            .decrypt_padded::<NoPadding>(sealed)
            .ok()?;
        let padding = usize::from(*opened.last()?);
        let content = opened.len().checked_sub(padding + 1)?;
        let (content, padded) = opened.split_at_checked(content)?;
        if padded.iter().any(|byte| usize::from(*byte) != padding) {
            return None;
        }
        let length = content.len().checked_sub(MAC)?;
        let (content, code) = content.split_at_checked(length)?;
        let mac = self.mac(&header(length), content)?;
        mac.verify_slice(code).ok()?;
        Some(length)
    }
}
