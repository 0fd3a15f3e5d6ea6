//! The node: containerd, the kubelet and kube-proxy.

use super::{built, flags, kubernetes};
use crate::layout::{Layout, NODE_ADDRESS, NODE_NAME};
use crate::process::{Launch, SYSTEM_PATH};

pub(super) const CONTAINERD_CONFIGURATION: (&str, &str) = (
    "containerd.toml",
    include_str!("../../config/containerd.toml"),
);
pub(super) const POD_NETWORK_CONFIGURATION: (&str, &str) = (
    "cni/pods.conflist",
    include_str!("../../config/pods.conflist"),
);
pub(super) const KUBELET_CONFIGURATION: (&str, &str) =
    ("kubelet.yaml", include_str!("../../config/kubelet.yaml"));
pub(super) const PROXY_CONFIGURATION: (&str, &str) = (
    "kube-proxy.yaml",
    include_str!("../../config/kube-proxy.yaml"),
);

pub(super) fn containerd(layout: &Layout) -> Launch {
    // It looks for its shim and for runc on its path.
    let path = format!("{}:{SYSTEM_PATH}", layout.programs("node").display());
    Launch {
        program: built(layout, "node", "containerd"),
        arguments: flags(&[
            ("config", &layout.argument("containerd.toml")),
            ("log-level", "info"),
        ]),
        environment: vec![("PATH", path)],
    }
}

pub(super) fn kubelet(layout: &Layout) -> Launch {
    let arguments = flags(&[
        ("config", &layout.argument("kubelet.yaml")),
        ("kubeconfig", &layout.component_kubeconfig("kubelet")),
        ("root-dir", &layout.argument("kubelet")),
        ("cert-dir", &layout.argument("kubelet/pki")),
        ("hostname-override", NODE_NAME),
        ("node-ip", NODE_ADDRESS),
    ]);
    Launch {
        program: kubernetes(layout, "kubelet"),
        arguments,
        environment: Vec::new(),
    }
}

pub(super) fn proxy(layout: &Layout) -> Launch {
    Launch {
        program: kubernetes(layout, "kube-proxy"),
        arguments: flags(&[("config", &layout.argument("kube-proxy.yaml"))]),
        environment: Vec::new(),
    }
}
