//! What the cluster consists of. Each component's module says how it is configured, started and found healthy.

mod control_plane;
mod node;
mod services;

use std::fmt;
use std::path::PathBuf;

use crate::health::Check;
use crate::layout::{
    API_SERVICE_ADDRESS, DNS_ADDRESS, Layout, NODE_ADDRESS, NODE_NAME, POD_NETWORK,
};
use crate::process::Launch;

/// One of the programs that the cluster consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(PartialOrd, Ord))]
pub enum Component {
    /// etcd
    Etcd,
    /// kube-apiserver
    ApiServer,
    /// kube-controller-manager
    ControllerManager,
    /// kube-scheduler
    Scheduler,
    /// containerd
    Containerd,
    /// kubelet
    Kubelet,
    /// kube-proxy, with nftables
    KubeProxy,
    /// `CoreDNS`
    CoreDns,
    /// metrics-server
    MetricsServer,
    /// Prometheus, scraping every pod with the annotation `prometheus.io/scrape: "true"` every two seconds
    Prometheus,
}

/// How much of a cluster is wanted. Each command builds and starts what it needs; what runs beyond that is let be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// What the demo needs: all but `CoreDNS` and metrics-server, which take a third of the time to build everything. Its
    /// Services are reached at their addresses, and no autoscaler asks for CPU figures.
    Demo,
    /// Everything.
    Full,
}

impl Extent {
    /// What belongs to it, in the order in which it is started.
    pub fn components(self) -> impl Iterator<Item = Component> {
        Component::ALL.into_iter().filter(move |component| {
            let only_tests = matches!(component, Component::CoreDns | Component::MetricsServer);
            self == Self::Full || !only_tests
        })
    }
}

impl Component {
    /// All of them, in the order in which they are started.
    pub const ALL: [Self; 10] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Containerd,
        Self::Kubelet,
        Self::KubeProxy,
        Self::CoreDns,
        Self::MetricsServer,
        Self::Prometheus,
    ];

    /// Its name, as in `cluster logs NAME`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::CoreDns => "coredns",
            Self::MetricsServer => "metrics-server",
            Self::Prometheus => "prometheus",
        }
    }

    /// The set of Go modules that it is built from.
    pub(crate) const fn set(self) -> &'static str {
        match self {
            Self::Etcd
            | Self::ApiServer
            | Self::ControllerManager
            | Self::Scheduler
            | Self::Kubelet
            | Self::KubeProxy => "kubernetes",
            Self::Containerd => "node",
            Self::CoreDns => "coredns",
            Self::MetricsServer => "metrics-server",
            Self::Prometheus => "prometheus",
        }
    }

    /// The objects without which it may sign in, but do nothing, and by which it is reached.
    pub(crate) const fn manifests(self) -> Option<&'static str> {
        match self {
            Self::CoreDns => Some(services::COREDNS_MANIFESTS),
            Self::MetricsServer => Some(services::METRICS_SERVER_MANIFESTS),
            Self::Prometheus => Some(services::PROMETHEUS_MANIFESTS),
            _ => None,
        }
    }

    /// A fingerprint's worth of text: everything that decides how it is started.
    pub(crate) fn description(self, layout: &Layout) -> String {
        let files = configurations().map(|(_, template)| fill_in(template, layout));
        let manifests = self.manifests().unwrap_or_default();
        format!("{:?}\n", self.launch(layout)) + &files.concat() + &fill_in(manifests, layout)
    }

    /// How it is started.
    pub(crate) fn launch(self, layout: &Layout) -> Launch {
        match self {
            Self::Etcd => control_plane::etcd(layout),
            Self::ApiServer => control_plane::api_server(layout),
            Self::ControllerManager => control_plane::controller_manager(layout),
            Self::Scheduler => control_plane::scheduler(layout),
            Self::Containerd => node::containerd(layout),
            Self::Kubelet => node::kubelet(layout),
            Self::KubeProxy => node::proxy(layout),
            Self::CoreDns => services::coredns(layout),
            Self::MetricsServer => services::metrics_server(layout),
            Self::Prometheus => services::prometheus(layout),
        }
    }

    /// How it is found healthy.
    pub(crate) fn check(self) -> Check {
        match self {
            Self::Etcd => Check::Http("http://127.0.0.1:2381", "/health"),
            Self::ApiServer => Check::Http("https://127.0.0.1:6443", "/readyz"),
            Self::ControllerManager => Check::Http("https://127.0.0.1:10257", "/healthz"),
            Self::Scheduler => Check::Http("https://127.0.0.1:10259", "/healthz"),
            Self::Containerd => Check::Containerd,
            Self::Kubelet => Check::Http("http://127.0.0.1:10248", "/healthz"),
            Self::KubeProxy => Check::Http("http://127.0.0.1:10256", "/healthz"),
            Self::CoreDns => Check::Http("http://127.0.0.1:8181", "/ready"),
            // It is ready only once there are figures, and so pods.
            Self::MetricsServer => Check::Http("https://127.0.0.1:4443", "/livez"),
            Self::Prometheus => Check::Http("http://192.168.77.1:9090", "/-/ready"),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Component {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|component| component.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                anyhow::anyhow!("no component is called {name}; there are {names}")
            })
    }
}

/// Where the configuration files of all components go, and what is in them.
fn configurations() -> [(&'static str, &'static str); 8] {
    [
        control_plane::AUDIT_CONFIGURATION,
        node::CONTAINERD_CONFIGURATION,
        node::POD_NETWORK_CONFIGURATION,
        node::KUBELET_CONFIGURATION,
        node::PROXY_CONFIGURATION,
        services::COREDNS_CONFIGURATION,
        services::PROMETHEUS_CONFIGURATION,
        services::RESOLVER_CONFIGURATION,
    ]
}

/// Writes the configuration files of all components.
pub(crate) fn configure(layout: &Layout) -> anyhow::Result<()> {
    for (name, template) in configurations() {
        layout.write(name, &fill_in(template, layout))?;
    }
    // What the kubelet gives to pods that want the node's name server: there is none.
    layout.write("kubelet-resolv.conf", "")
}

/// Replaces each `@NAME@` in a configuration file or a manifest.
pub(crate) fn fill_in(template: &str, layout: &Layout) -> String {
    let node_programs = layout.programs("node").to_string_lossy().into_owned();
    // Without this, bridged answers of a Service's pod to another pod are not translated back.
    let masquerade_all = !std::path::Path::new("/proc/sys/net/bridge").exists();
    let run = layout.argument("");
    [
        ("@API_SERVICE_ADDRESS@", API_SERVICE_ADDRESS),
        ("@CLUSTER_NAME@", layout.name()),
        ("@DNS_ADDRESS@", DNS_ADDRESS),
        (
            "@MASQUERADE_ALL@",
            if masquerade_all { "true" } else { "false" },
        ),
        ("@NODE_ADDRESS@", NODE_ADDRESS),
        ("@NODE_NAME@", NODE_NAME),
        ("@NODE_PROGRAMS@", &node_programs),
        ("@POD_NETWORK@", POD_NETWORK),
        ("@RUN@", run.trim_end_matches('/')),
    ]
    .into_iter()
    .fold(template.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

/// A program of one of the sets of Go modules.
fn built(layout: &Layout, set: &str, program: &str) -> PathBuf {
    layout.programs(set).join(program)
}

/// A program of Kubernetes, or the one that `KUBEBUILDER_ASSETS` offers.
pub(crate) fn kubernetes(layout: &Layout, program: &str) -> PathBuf {
    let offered_as = if program == "server" { "etcd" } else { program };
    std::env::var_os("KUBEBUILDER_ASSETS")
        .map(|assets| PathBuf::from(assets).join(offered_as))
        .filter(|offered| offered.exists())
        .unwrap_or_else(|| built(layout, "kubernetes", program))
}

/// Arguments of the form `--name=value`.
fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs
        .iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_found_by_its_name() {
        for component in Component::ALL {
            assert_eq!(component.name().parse::<Component>().unwrap(), component);
        }
        let error = "kube-nothing".parse::<Component>().unwrap_err().to_string();
        assert!(error.contains("kube-scheduler"), "{error}");
    }

    #[test]
    fn no_configuration_is_left_with_a_blank_to_fill_in() {
        let layout = Layout::of_this_checkout().unwrap();
        for (name, template) in configurations() {
            let filled = fill_in(template, &layout);
            let left = filled.split('@').skip(1).find(|word| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            });
            assert_eq!(left, None, "in {name}");
        }
    }
}
