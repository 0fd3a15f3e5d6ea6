//! TLS with ring, whatever else is compiled in, and never with the system's certificates, since the agent's image has
//! none. For probes it also has what the kubelet's prober speaks and ring does not.

mod cbc;
mod p521;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// The application protocols that the kubelet's prober offers.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What a probe offers a server.
#[derive(Debug)]
pub(super) struct ProbeTls(ClientConfig);

impl ProbeTls {
    pub(super) fn new() -> Result<Self, Error> {
        let mut provider = ring::default_provider();
        provider.cipher_suites.extend(cbc::suites());
        provider.kx_groups.push(p521::SECP521R1);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate::default()))
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Whether a server can still make a new session is what a probe asks.
        config.resumption = Resumption::disabled();
        Ok(Self(config))
    }

    /// The configuration of one handshake, and what is seen during it.
    pub(super) fn handshake(&self) -> (Arc<ClientConfig>, Arc<AnyCertificate>) {
        let seen = Arc::new(AnyCertificate::default());
        let mut config = self.0.clone();
        config.dangerous().set_certificate_verifier(seen.clone());
        (Arc::new(config), seen)
    }
}

/// Accepts any certificate, as the kubelet does, and remembers that there was one. Signatures are not verified either:
/// without an identity they prove nothing, and verifying them would refuse old forms of certificates that the kubelet
/// accepts.
#[derive(Debug, Default)]
pub(super) struct AnyCertificate {
    shown: AtomicBool,
}

impl AnyCertificate {
    /// Whether a handshake failed for lack of something that both sides speak, rather than because the server failed.
    pub(super) fn is_nothing_in_common(&self, error: &Error) -> bool {
        match error {
            Error::PeerIncompatible(_)
            | Error::InvalidMessage(
                InvalidMessage::CertificatePayloadTooLarge
                | InvalidMessage::HandshakePayloadTooLarge,
            ) => true,
            // A server that has shown its certificate has found everything that it needs: what it complains of then is
            // something else, such as a certificate that it wants to see.
            Error::AlertReceived(alert) => {
                !self.shown.load(Ordering::Relaxed) && is_about_what_was_offered(*alert)
            }
            _ => false,
        }
    }
}

fn is_about_what_was_offered(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::MissingExtension
            | AlertDescription::UnsupportedExtension
            | AlertDescription::NoApplicationProtocol
    )
}

/// For Prometheus: the certificates of a PEM file, or the compiled-in roots of public authorities.
pub(crate) fn verified(pem: Option<&[u8]>) -> Result<ClientConfig, RootsError> {
    let mut roots = RootCertStore::empty();
    match pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| RootsError::NotPem)?;
                roots.add(certificate).map_err(RootsError::Certificate)?;
            }
            if roots.is_empty() {
                return Err(RootsError::None);
            }
        }
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(RootsError::Provider)?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootsError {
    #[error("it is not PEM")]
    NotPem,
    #[error("there is no certificate in it")]
    None,
    #[error("a certificate in it cannot be used: {0}")]
    Certificate(Error),
    #[error("set up TLS: {0}")]
    Provider(Error),
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.shown.store(true, Ordering::Relaxed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// What the kubelet's prober offers, in its order.
const SCHEMES: [SignatureScheme; 10] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
];
