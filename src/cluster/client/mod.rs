//! The client of the API server, and one request at a time.

mod config;
mod config_error;
mod connection;
mod error;
mod headers;
mod kubeconfig;
mod objects;
mod pages;
mod proxy;
mod request;

pub use self::{
    config::client_config,
    config_error::ClientConfigError,
    connection::{ConnectionError, connect},
    error::{error_chain, in_short},
    headers::client,
    kubeconfig::{ClusterFlags, ConnectionFlags, UserFlags},
    pages::ListPages,
    proxy::{BadProxy, proxy_of},
};
pub(super) use self::{
    error::{BadObject, ClientError},
    objects::Objects,
    request::request,
};
