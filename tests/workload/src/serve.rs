//! The pod: a traffic port that behaves as switched, and a control port that switches it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::active::Board;
use crate::answer::Site;
use crate::answered::LastAnswers;
use crate::behaviour::Behaviour;
use crate::metrics::Metrics;
use crate::{busy, control, traffic};

/// What a server starts with.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Address to listen on
    #[arg(long, env = "BIND", default_value = "0.0.0.0")]
    pub bind: IpAddr,
    /// Port of traffic, /healthz, /readyz and /metrics; 0 takes a free one
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Port on which the behaviour is read and switched; 0 takes a free one
    #[arg(long, env = "CONTROL_PORT", default_value_t = 8081)]
    pub control_port: u16,
    /// Behaviour to start with, as JSON or as one of ok, unready, hang, close, refuse or a status
    #[arg(long, env = "BEHAVIOUR", default_value = "ok")]
    pub behaviour: Behaviour,
    /// Name that every answer says; the host name if not given
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
}

/// Why a server did not start or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is not to be had.
    #[error("listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The metrics contradict each other.
    #[error("set up metrics")]
    Metrics(#[source] prometheus::Error),
    /// A port died, or the task that keeps the processor busy.
    #[error("keep all tasks running: {0}")]
    Died(String),
}

/// A running server; it ends when dropped.
pub struct Server {
    /// Where traffic goes.
    pub traffic: SocketAddr,
    /// Where its behaviour is switched.
    pub control: SocketAddr,
    tasks: JoinSet<io::Result<()>>,
}

impl Server {
    /// Opens both ports and begins to answer.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let (traffic_port, traffic) = listen(settings.bind, settings.port).await?;
        let (control_port, control) = listen(settings.bind, settings.control_port).await?;
        let site = Arc::new(Site {
            pod: settings.pod_name.unwrap_or_else(host_name),
            board: Board::new(settings.behaviour),
            metrics: Metrics::new().map_err(Error::Metrics)?,
            health: LastAnswers::default(),
        });
        let (applied, follows) = watch::channel(0);
        let router = control::router(Arc::clone(&site), follows);
        let mut tasks = JoinSet::new();
        let worked = Arc::clone(&site);
        tasks.spawn(async move {
            busy::run(worked).await;
            Ok(())
        });
        tasks.spawn(async move {
            traffic::run(traffic_port, traffic, site, applied).await;
            Ok(())
        });
        tasks.spawn(async move { axum::serve(control_port, router).await });
        Ok(Self {
            traffic,
            control,
            tasks,
        })
    }

    /// Returns when the server has died, which it should not.
    pub async fn died(&mut self) -> Error {
        Error::Died(format!("{:?}", self.tasks.join_next().await))
    }
}

pub(crate) async fn listen(ip: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), Error> {
    let address = SocketAddr::new(ip, port);
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// In a pod this is the pod's name.
fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
