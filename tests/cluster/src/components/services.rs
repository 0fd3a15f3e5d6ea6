//! What runs on the node beside Kubernetes proper: names, CPU figures and Prometheus.

use super::{built, flags};
use crate::layout::{Layout, NODE_ADDRESS};
use crate::process::Launch;

pub(super) const COREDNS_CONFIGURATION: (&str, &str) =
    ("Corefile", include_str!("../../config/Corefile"));
pub(super) const PROMETHEUS_CONFIGURATION: (&str, &str) = (
    "prometheus.yaml",
    include_str!("../../config/prometheus.yaml"),
);
pub(super) const COREDNS_MANIFESTS: &str = include_str!("../../manifests/coredns.yaml");
pub(super) const METRICS_SERVER_MANIFESTS: &str =
    include_str!("../../manifests/metrics-server.yaml");
pub(super) const PROMETHEUS_MANIFESTS: &str = include_str!("../../manifests/prometheus.yaml");
pub(super) const RESOLVER_CONFIGURATION: (&str, &str) =
    ("resolv.conf", include_str!("../../config/resolv.conf"));

pub(super) fn coredns(layout: &Layout) -> Launch {
    Launch {
        program: built(layout, "coredns", "coredns"),
        arguments: vec!["-conf".into(), layout.argument("Corefile")],
        environment: Vec::new(),
    }
}

pub(super) fn metrics_server(layout: &Layout) -> Launch {
    let kubeconfig = layout.component_kubeconfig("metrics-server");
    Launch {
        program: built(layout, "metrics-server", "metrics-server"),
        arguments: flags(&[
            ("kubeconfig", &kubeconfig),
            ("authentication-kubeconfig", &kubeconfig),
            ("authorization-kubeconfig", &kubeconfig),
            ("secure-port", "4443"),
            ("cert-dir", &layout.argument("metrics-server")),
            ("kubelet-insecure-tls", "true"),
            ("kubelet-preferred-address-types", "InternalIP"),
            ("metric-resolution", "10s"),
            ("kubelet-request-timeout", "5s"),
        ]),
        environment: Vec::new(),
    }
}

pub(super) fn prometheus(layout: &Layout) -> Launch {
    Launch {
        program: built(layout, "prometheus", "prometheus"),
        arguments: flags(&[
            ("config.file", &layout.argument("prometheus.yaml")),
            ("storage.tsdb.path", &layout.argument("prometheus")),
            ("storage.tsdb.retention.time", "6h"),
            ("web.listen-address", &format!("{NODE_ADDRESS}:9090")),
            ("log.level", "info"),
        ]),
        environment: Vec::new(),
    }
}
