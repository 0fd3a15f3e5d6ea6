//! A proxy on the loopback, by CONNECT or SOCKS5, whose every tunnel ends at the API server: whoever gets an answer for a
//! name that does not exist has come through it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use kube::config::Kubeconfig;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::Stage;

/// How a proxy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// By CONNECT.
    Connect,
    /// By CONNECT over TLS, with the API server's own certificate.
    ConnectOverTls,
    /// By SOCKS5.
    Socks5,
}

/// An open proxy; it ends with this.
pub struct Forward {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    ask: Ask,
    api_server: String,
    tls: TlsAcceptor,
    asked: Mutex<Vec<String>>,
    /// Whether there are tunnels.
    is_up: watch::Sender<bool>,
}

impl Forward {
    /// Opens one to the stage's API server.
    pub async fn open(stage: &Stage, ask: Ask) -> anyhow::Result<Self> {
        let url = stage.cluster.api_server_url().await?;
        let shared = Arc::new(Shared {
            ask,
            api_server: url.replace("https://", ""),
            tls: acceptor(stage)?,
            asked: Mutex::default(),
            is_up: watch::Sender::new(true),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let of_server = shared.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(of_server.clone().serve(stream));
            }
        });
        Ok(Self {
            address,
            shared,
            server,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked for since the last time, each once: `host:port`, with `user:password@` before it where somebody has
    /// signed in.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let asked = self.shared.asked.lock();
        let mut asked = std::mem::take(&mut *asked.unwrap_or_else(PoisonError::into_inner));
        asked.sort();
        asked.dedup();
        asked
    }

    /// Ends all open tunnels, and opens no other until [`Forward::up`].
    pub fn down(&self) {
        self.shared.is_up.send_replace(false);
    }

    /// Opens tunnels again.
    pub fn up(&self) {
        self.shared.is_up.send_replace(true);
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The API server's certificate is also one of the loopback.
fn acceptor(stage: &Stage) -> anyhow::Result<TlsAcceptor> {
    let kubeconfig = Kubeconfig::read_from(stage.cluster.kubeconfig())?;
    let cluster = kubeconfig
        .clusters
        .first()
        .and_then(|one| one.cluster.as_ref());
    let authority = cluster.and_then(|cluster| cluster.certificate_authority.as_ref());
    let authority = std::path::Path::new(authority.context("no authority")?);
    let certificate = authority.with_file_name("kube-apiserver.crt");
    let key = authority.with_file_name("kube-apiserver.key");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)?.collect();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain?, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut is_up = self.is_up.subscribe();
        let tunnel = async {
            match self.ask {
                Ask::Connect => self.connect(stream).await,
                Ask::ConnectOverTls => self.connect(self.tls.accept(stream).await?).await,
                Ask::Socks5 => self.socks(stream).await,
            }
        };
        tokio::select! {
            biased;
            _ = is_up.wait_for(|is_up| !is_up) => {}
            ended = tunnel => if let Err(error) = ended {
                eprintln!("a tunnel has ended: {error:#}");
            },
        }
    }

    fn note(&self, asked: String) {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(asked);
    }

    async fn connect(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        let target = head
            .strip_prefix("CONNECT ")
            .and_then(|rest| rest.split(' ').next());
        let target = target.with_context(|| head.clone())?;
        let credentials = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then_some(value)
        });
        // `user:pass@word`, as RFC 7617 writes it.
        self.note(match credentials {
            Some("Basic dXNlcjpwYXNzQHdvcmQ=") => format!("user:pass@word@{target}"),
            Some(other) => format!("{other}@{target}"),
            None => target.to_owned(),
        });
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await?;
        self.pass(stream).await
    }

    async fn socks(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        ensure!(stream.read_u8().await? == 5, "no SOCKS5");
        let mut methods = vec![0; usize::from(stream.read_u8().await?)];
        stream.read_exact(&mut methods).await?;
        let mut credentials = String::new();
        if methods.contains(&2) {
            stream.write_all(&[5, 2]).await?;
            ensure!(stream.read_u8().await? == 1, "no user and password");
            let user = text(&mut stream).await?;
            let password = text(&mut stream).await?;
            credentials = format!("{user}:{password}@");
            stream.write_all(&[1, 0]).await?;
        } else {
            stream.write_all(&[5, 0]).await?;
        }
        let mut request = [0; 4];
        stream.read_exact(&mut request).await?;
        let host = match request {
            [5, 1, 0, 1] => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
            [5, 1, 0, 3] => text(&mut stream).await?,
            other => anyhow::bail!("asked by {other:?}"),
        };
        let port = stream.read_u16().await?;
        self.note(format!("{credentials}{host}:{port}"));
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        self.pass(stream).await
    }

    async fn pass(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<()> {
        let mut api_server = TcpStream::connect(&self.api_server).await?;
        // How it ends is for its two ends to say.
        let _ = copy_bidirectional(&mut stream, &mut api_server).await;
        Ok(())
    }
}

async fn text(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes)?)
}
