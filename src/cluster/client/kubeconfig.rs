//! Which cluster and user: by the kubeconfig and the flags, as kubectl combines them.

use std::{
    collections::HashMap,
    env,
    ffi::OsStr,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};

use super::config_error::ClientConfigError;

/// What the command line says about the way to the API server; it comes before the kubeconfig.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFlags {
    /// The one file that is read, which must be there.
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// The cluster of the kubeconfig, whatever the context says.
    pub cluster: Option<String>,
    /// The user of the kubeconfig, whatever the context says.
    pub user: Option<String>,
    /// What is changed in that cluster.
    pub to_cluster: ClusterFlags,
    /// What is changed in that user.
    pub to_user: UserFlags,
}

/// What the command line changes in a cluster of the kubeconfig.
#[derive(Clone, Debug, Default)]
pub struct ClusterFlags {
    pub server: Option<String>,
    pub certificate_authority: Option<String>,
    pub insecure_skip_tls_verify: bool,
    pub tls_server_name: Option<String>,
}

/// What the command line changes in a user of the kubeconfig.
#[derive(Clone, Debug, Default)]
pub struct UserFlags {
    pub token: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub client_certificate: Option<String>,
    pub client_key: Option<String>,
    pub impersonate: Option<String>,
    pub impersonate_uid: Option<String>,
    pub impersonate_groups: Vec<String>,
    /// As `KEY=VALUE`; a key may come again.
    pub impersonate_extra: Vec<String>,
}

/// The chosen parts of the kubeconfig, with the flags in them.
pub(super) struct Chosen {
    pub(super) context: Context,
    pub(super) cluster: Cluster,
    pub(super) server: String,
    pub(super) user: AuthInfo,
}

/// Reads the file of the command line, else those that `KUBECONFIG` lists, else `~/.kube/config`. Of a list, files that
/// are not there are left out, and the first that says something wins. Also the paths that were looked at.
pub(super) fn read(
    explicit: Option<&Path>,
    listed: Option<&OsStr>,
) -> Result<(Kubeconfig, Vec<PathBuf>), ClientConfigError> {
    let read_one = |path: &Path| {
        let read = Kubeconfig::read_from(path);
        read.map_err(|source| ClientConfigError::Read {
            path: path.to_owned(),
            source,
        })
    };
    if let Some(path) = explicit {
        return Ok((read_one(path)?, vec![path.to_owned()]));
    }
    let paths: Vec<PathBuf> = if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
        let paths = env::split_paths(listed);
        paths.filter(|path| !path.as_os_str().is_empty()).collect()
    } else {
        let home = env::home_dir();
        home.map(|home| home.join(".kube/config"))
            .into_iter()
            .collect()
    };
    let mut merged = Kubeconfig::default();
    for path in &paths {
        let one = match read_one(path) {
            Ok(one) => one,
            Err(failure) if is_missing(&failure) => continue,
            Err(failure) => return Err(failure),
        };
        // `kubectl config unset current-context` leaves an empty text, which says nothing.
        merged.current_context = non_empty(merged.current_context.take());
        merged = merged
            .merge(one)
            .map_err(|source| ClientConfigError::Read {
                path: path.clone(),
                source,
            })?;
    }
    Ok((merged, paths))
}

fn is_missing(failure: &ClientConfigError) -> bool {
    match failure {
        ClientConfigError::Read {
            source: KubeconfigError::ReadConfig(source, _),
            ..
        } => source.kind() == ErrorKind::NotFound,
        _ => false,
    }
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The cluster and the user; `None` where nothing names a server.
pub(super) fn choose(
    kubeconfig: Kubeconfig,
    flags: &ConnectionFlags,
) -> Result<Option<Chosen>, ClientConfigError> {
    let missing = |kind, name: &str| ClientConfigError::Missing {
        kind,
        name: name.to_owned(),
    };
    let name = flags.context.clone().or(kubeconfig.current_context);
    let context = match non_empty(name) {
        None => Context::default(),
        Some(name) => {
            let mut all = kubeconfig.contexts.into_iter();
            let found = all.find(|one| one.name == name);
            let found = found.ok_or_else(|| missing("context", &name))?;
            found.context.unwrap_or_default()
        }
    };
    let name = flags.cluster.clone().or(Some(context.cluster.clone()));
    let mut cluster = match non_empty(name) {
        None => Cluster::default(),
        Some(name) => {
            let mut all = kubeconfig.clusters.into_iter();
            let found = all.find(|one| one.name == name);
            let found = found.ok_or_else(|| missing("cluster", &name))?;
            found.cluster.unwrap_or_default()
        }
    };
    flags.to_cluster.change(&mut cluster);
    let mut users = kubeconfig.auth_infos.into_iter();
    let mut user_of = |name: &str| {
        let found = users.find(|one| one.name == name)?;
        Some(found.auth_info.unwrap_or_default())
    };
    // Of the two, only the user of the command line must be there.
    let mut user = match (&flags.user, &context.user) {
        (Some(name), _) => user_of(name).ok_or_else(|| missing("auth info", name))?,
        (None, Some(name)) => user_of(name).unwrap_or_default(),
        (None, None) => AuthInfo::default(),
    };
    flags.to_user.change(&mut user)?;
    let Some(server) = non_empty(cluster.server.clone()) else {
        return Ok(None);
    };
    Ok(Some(Chosen {
        context,
        cluster,
        server,
        user,
    }))
}

impl ClusterFlags {
    fn change(&self, cluster: &mut Cluster) {
        let Self {
            server,
            certificate_authority,
            insecure_skip_tls_verify,
            tls_server_name,
        } = self;
        if *insecure_skip_tls_verify || certificate_authority.is_some() {
            cluster.insecure_skip_tls_verify = Some(*insecure_skip_tls_verify);
            cluster
                .certificate_authority
                .clone_from(certificate_authority);
            cluster.certificate_authority_data = None;
        }
        // The name in the kubeconfig is that of the server in the kubeconfig.
        if server.is_some() || tls_server_name.is_some() {
            cluster.tls_server_name.clone_from(tls_server_name);
        }
        if server.is_some() {
            cluster.server.clone_from(server);
        }
    }
}

impl UserFlags {
    /// Changes a user of the kubeconfig. It also sees that nobody impersonates a group without a user: the API server
    /// would take the request as the user's own.
    pub(super) fn change(&self, user: &mut AuthInfo) -> Result<(), ClientConfigError> {
        if self.token.is_some() || self.username.is_some() || self.password.is_some() {
            user.exec = None;
            user.auth_provider = None;
            user.token_file = None;
        }
        if let Some(token) = &self.token {
            user.token = Some(token.clone().into());
            user.username = None;
            user.password = None;
        }
        if self.username.is_some() {
            user.username.clone_from(&self.username);
        }
        if let Some(password) = &self.password {
            user.password = Some(password.clone().into());
        }
        if self.client_certificate.is_some() {
            user.client_certificate.clone_from(&self.client_certificate);
            user.client_certificate_data = None;
        }
        if self.client_key.is_some() {
            user.client_key.clone_from(&self.client_key);
            user.client_key_data = None;
        }
        if self.impersonate.is_some() {
            user.impersonate.clone_from(&self.impersonate);
        }
        if self.impersonate_uid.is_some() {
            user.impersonate_uid.clone_from(&self.impersonate_uid);
        }
        if !self.impersonate_groups.is_empty() {
            user.impersonate_groups = Some(self.impersonate_groups.clone());
        }
        let mut extra: HashMap<String, Vec<String>> = HashMap::new();
        for pair in &self.impersonate_extra {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            extra
                .entry(key.to_owned())
                .or_default()
                .push(value.to_owned());
        }
        if !extra.is_empty() {
            user.impersonate_user_extra = Some(extra);
        }
        let says_more = user.impersonate_uid.is_some()
            || user.impersonate_groups.is_some()
            || user.impersonate_user_extra.is_some();
        if says_more && user.impersonate.as_deref().unwrap_or_default().is_empty() {
            return Err(ClientConfigError::NobodyImpersonated);
        }
        Ok(())
    }
}
