//! TLS with ring, whatever else is compiled in, and never with the system's certificates, since the agent's image has
//! none.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// For probes: any certificate is accepted, as by the kubelet.
pub(super) fn unverified() -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(provider.clone()));
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// For Prometheus: the certificates of a PEM file, or the compiled-in roots of public authorities.
pub(super) fn verified(pem: Option<&[u8]>) -> Result<ClientConfig, RootsError> {
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
pub(super) enum RootsError {
    #[error("it is not PEM")]
    NotPem,
    #[error("there is no certificate in it")]
    None,
    #[error("a certificate in it cannot be used: {0}")]
    Certificate(Error),
    #[error("set up TLS: {0}")]
    Provider(Error),
}

/// Accepts any certificate. Signatures are not verified either: without an identity they prove nothing, and verifying
/// them would refuse old forms of certificates that the kubelet accepts.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
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
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
