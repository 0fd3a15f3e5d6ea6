//! The certificates and keys of the control plane.

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::layout::{API_SERVICE_ADDRESS, Layout, NODE_ADDRESS, NODE_NAME};

/// Writes all of them below `run/certificates/`.
pub(crate) fn write(layout: &Layout) -> anyhow::Result<()> {
    let issue = || -> anyhow::Result<()> {
        let cluster = authority("kubernetes")?;
        save_authority(layout, "ca", &cluster)?;
        Leaf::server(
            "kube-apiserver",
            &[
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
                "localhost",
                "127.0.0.1",
                API_SERVICE_ADDRESS,
                NODE_ADDRESS,
            ],
        )
        .issue(layout, &cluster)?;
        Leaf::server("kubelet", &[NODE_NAME, NODE_ADDRESS]).issue(layout, &cluster)?;
        // How the API server signs in to the kubelet.
        Leaf::client("kubelet-client", Some("system:masters")).issue(layout, &cluster)?;

        let front_proxy = authority("front-proxy")?;
        save_authority(layout, "front-proxy-ca", &front_proxy)?;
        Leaf::client("front-proxy-client", None).issue(layout, &front_proxy)?;

        // Signs the tokens of ServiceAccounts.
        let tokens = KeyPair::generate()?;
        layout.write("certificates/tokens.key", &tokens.serialize_pem())?;
        layout.write("certificates/tokens.pub", &tokens.public_key_pem())
    };
    issue().context("make certificates")
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> anyhow::Result<Authority> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(CertifiedIssuer::self_signed(
        parameters,
        KeyPair::generate()?,
    )?)
}

fn save_authority(layout: &Layout, name: &str, authority: &Authority) -> anyhow::Result<()> {
    layout.write(&format!("certificates/{name}.crt"), &authority.pem())?;
    layout.write(
        &format!("certificates/{name}.key"),
        &authority.key().serialize_pem(),
    )
}

struct Leaf<'a> {
    name: &'a str,
    organization: Option<&'a str>,
    reached_at: &'a [&'a str],
    usage: ExtendedKeyUsagePurpose,
}

impl<'a> Leaf<'a> {
    fn server(name: &'a str, reached_at: &'a [&'a str]) -> Self {
        Self {
            name,
            organization: None,
            reached_at,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        }
    }

    fn client(name: &'a str, organization: Option<&'a str>) -> Self {
        Self {
            name,
            organization,
            reached_at: &[],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        }
    }

    fn issue(self, layout: &Layout, authority: &Authority) -> anyhow::Result<()> {
        let reached_at: Vec<String> = self.reached_at.iter().map(|at| (*at).to_owned()).collect();
        let mut parameters = CertificateParams::new(reached_at)?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, self.name);
        if let Some(organization) = self.organization {
            parameters
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![self.usage];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, authority)?;
        let name = self.name;
        layout.write(&format!("certificates/{name}.crt"), &certificate.pem())?;
        layout.write(&format!("certificates/{name}.key"), &key.serialize_pem())
    }
}
