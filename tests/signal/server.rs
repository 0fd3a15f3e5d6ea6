//! A server that answers as a test says, byte for byte, and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// The same, later.
    Late(Duration, Vec<u8>),
    /// These bytes, and then nothing, for ever.
    Open(Vec<u8>),
    /// Nothing, for ever.
    Hang,
}

/// 200 and this body.
pub(crate) fn ok(body: &str) -> Reply {
    answer("200 OK", body)
}

pub(crate) fn answer(status: &str, body: &str) -> Reply {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    Reply::Bytes(text.into_bytes())
}

type Behaviour = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct Site {
    behaviour: Mutex<Behaviour>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// A running server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    site: Arc<Site>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, behave).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let site = Arc::new(Site {
            behaviour: Mutex::new(Arc::new(behave)),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, tls, site.clone()));
        Self {
            address,
            site,
            _tasks: tasks,
        }
    }

    pub(crate) fn now(&self, behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.site.behaviour.lock().unwrap() = Arc::new(behave);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.site.asked.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.site.connections.load(Ordering::SeqCst)
    }

    /// The most connections that were open at once.
    pub(crate) fn most_open(&self) -> usize {
        self.site.most_open.load(Ordering::SeqCst)
    }
}

/// A request on a connection of its own, whatever is answered.
pub(crate) async fn get(address: SocketAddr, path: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

async fn listen(listener: TcpListener, tls: Option<TlsAcceptor>, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        site.connections.fetch_add(1, Ordering::SeqCst);
        let site = site.clone();
        match tls.clone() {
            None => drop(connections.spawn(serve(stream, site))),
            Some(tls) => drop(connections.spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    serve(stream, site).await;
                }
            })),
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, site: Arc<Site>) {
    let open = site.open.fetch_add(1, Ordering::SeqCst) + 1;
    site.most_open.fetch_max(open, Ordering::SeqCst);
    if let Some(asked) = read(&mut stream).await {
        site.asked.lock().unwrap().push(asked.clone());
        let behaviour = site.behaviour.lock().unwrap().clone();
        let bytes = match behaviour(&asked) {
            Reply::Bytes(bytes) => bytes,
            Reply::Late(time, bytes) => {
                sleep(time).await;
                bytes
            }
            Reply::Open(bytes) => {
                drop(stream.write_all(&bytes).await);
                drop(stream.flush().await);
                drop(stream.read_u8().await);
                Vec::new()
            }
            Reply::Hang => {
                // Ends with the connection.
                drop(stream.read_u8().await);
                Vec::new()
            }
        };
        drop(stream.write_all(&bytes).await);
        drop(stream.shutdown().await);
    }
    site.open.fetch_sub(1, Ordering::SeqCst);
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if let Some((head, body)) = String::from_utf8_lossy(&bytes).split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(Asked {
                    head: head.to_owned(),
                    body: body.to_owned(),
                });
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}
