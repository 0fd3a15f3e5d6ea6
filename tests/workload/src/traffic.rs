//! The traffic port: its listening socket, which comes and goes as the behaviour says, and its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::answer::{Body, Cut, Site};
use crate::behaviour::Socket;

/// How long after a failed `accept` or `bind` the next is tried: the cause (no file descriptors,
/// the port lent to an outgoing connection) passes or not, whatever is done here.
const RETRY: Duration = Duration::from_millis(50);

/// Runs the traffic port, on the address of `listener`, for good. `applied` is set to the number
/// of each switch once the port follows it.
pub(crate) async fn run(
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<Site>,
    applied: watch::Sender<u64>,
) {
    let mut board = site.board.watch();
    let mut connections = JoinSet::new();
    let mut open = Some(listener);
    loop {
        let active = Arc::clone(&board.borrow_and_update());
        let socket = active.behaviour.socket;
        if matches!(socket, Socket::Close | Socket::Refuse) {
            connections.shutdown().await;
        }
        open = match (socket, open) {
            (Socket::Refuse, _) => None,
            (_, None) => Some(bind(address).await),
            (_, listener) => listener,
        };
        applied.send_replace(active.switch);
        loop {
            tokio::select! {
                // First the switch: what is accepted after it follows it.
                biased;
                changed = board.changed() => {
                    // `site` holds the sender, so this is a change.
                    let _ = changed;
                    break;
                }
                Some(_) = connections.join_next() => {}
                stream = accept(open.as_ref()) => {
                    if socket != Socket::Close {
                        connections.spawn(serve(stream, Arc::clone(&site)));
                    }
                }
            }
        }
    }
}

/// The next connection; never one where nothing listens.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                println!("accept on the traffic port: {error}");
                sleep(RETRY).await;
            }
        }
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                println!("open the traffic port again: {error}");
                sleep(RETRY).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>) {
    // Answers are small and timed by those who ask. Where this cannot be set they are slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { respond(&request, site).await }
    });
    // An error is a client that went away or a connection cut on purpose; neither is worth a line.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(request: &Request<Incoming>, site: Arc<Site>) -> Result<Response<Body>, Cut> {
    site.answer(request.uri().path()).await
}
