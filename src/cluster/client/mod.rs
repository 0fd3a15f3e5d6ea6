//! The client of the API server, and one request at a time.

mod config;
mod error;
mod headers;
mod objects;
mod pages;
mod request;

pub use self::{
    config::{ClientConfigError, client_config},
    error::{error_chain, in_short},
    headers::client,
    pages::ListPages,
};
pub(super) use self::{
    error::{BadObject, ClientError},
    objects::Objects,
    request::request,
};
