//! `kubectl quarantine`, run as a user runs it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context as _, ensure};
use kube::config::Kubeconfig;
use serde_json::json;
use test_cluster::build::{Profile, static_binary};
use tokio::{process::Command, sync::OnceCell};

use crate::{Stage, process::token};

/// The program, and whom it signs in as.
pub struct Plugin {
    stage: Stage,
    program: &'static Path,
    kubeconfig: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub struct Ran {
    /// 0 done, 1 refused or failed, 2 usage.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Stage {
    /// The plugin, as the admin.
    pub async fn plugin(&self) -> anyhow::Result<Plugin> {
        Ok(Plugin {
            stage: self.clone(),
            program: program().await?,
            kubeconfig: self.cluster.kubeconfig(),
        })
    }

    /// The plugin, as a new `ServiceAccount` that may look at the pods of these namespaces and do nothing more.
    pub async fn plugin_of_viewer(&self, namespaces: &[&str]) -> anyhow::Result<Plugin> {
        let home = namespaces.first().context("a viewer of nothing")?;
        let account = format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{ name: viewer, namespace: {home} }}\n"
        );
        let binding = |namespace: &&str| {
            format!(
                "---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: viewer, namespace: {namespace} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view }}
subjects: [{{ kind: ServiceAccount, name: viewer, namespace: {home} }}]
"
            )
        };
        let bindings: Vec<String> = namespaces.iter().map(binding).collect();
        let manifests = account + &bindings.concat();
        self.cluster.apply_yaml(&manifests).await?;
        let token = token(self, home, "viewer").await?;
        let admin = Kubeconfig::read_from(self.cluster.kubeconfig())?;
        let mut kubeconfig = serde_json::to_value(admin)?;
        let user = kubeconfig.pointer_mut("/users/0/user");
        *user.context("a kubeconfig without a user")? = json!({ "token": token });
        let path = std::env::temp_dir().join(format!("viewer-of-{home}"));
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(Plugin {
            kubeconfig: path,
            ..self.plugin().await?
        })
    }
}

impl Plugin {
    /// Runs it to its end, with words that are parted by spaces.
    pub async fn run(&self, line: &str) -> anyhow::Result<Ran> {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>())
            .await
    }

    /// Runs it to its end.
    pub async fn run_words(&self, words: &[&str]) -> anyhow::Result<Ran> {
        let mut command = Command::new(self.program);
        command.args(words).env("KUBECONFIG", &self.kubeconfig);
        ran(command).await
    }

    /// Runs kubectl and then the plugin, in the same environment, in which nothing else says how to reach the API server.
    pub async fn beside_kubectl(
        &self,
        kubectl: &[&str],
        plugin: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<(Ran, Ran)> {
        let run = async |command: std::process::Command, words: &[&str]| {
            let mut command = Command::from(command);
            command.args(words).env("KUBECONFIG", &self.kubeconfig);
            for name in ["http_proxy", "https_proxy", "no_proxy"] {
                command.env_remove(name).env_remove(name.to_uppercase());
            }
            command.envs(environment.iter().copied());
            ran(command).await
        };
        let of_kubectl = run(self.stage.cluster.command("kubectl"), kubectl).await?;
        let own = run(std::process::Command::new(self.program), plugin).await?;
        Ok((of_kubectl, own))
    }

    /// Starts it with its output in a file, with words that are parted by spaces.
    pub fn start(&self, line: &str, output: &Path) -> anyhow::Result<tokio::process::Child> {
        let file = std::fs::File::create(output)?;
        let mut command = Command::new(self.program);
        command
            .args(line.split_whitespace())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(std::process::Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true);
        command.spawn().context("start the plugin")
    }

    /// The same, which signs in by another kubeconfig.
    #[must_use]
    pub fn with_kubeconfig(self, kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, ..self }
    }

    /// Runs it through kubectl, which finds it on the path.
    pub async fn through_kubectl(&self, line: &str) -> anyhow::Result<Ran> {
        let mut command = Command::from(self.stage.cluster.command("kubectl"));
        let directory = self.program.parent().context("a program in no directory")?;
        let path = command.as_std().get_envs();
        let path = path.filter_map(|(key, value)| (key == "PATH").then_some(value).flatten());
        let path = path.last().map(OsString::from);
        let path = path.or_else(|| std::env::var_os("PATH"));
        let path = path.unwrap_or_default();
        let path = std::env::split_paths(&path).chain([directory.to_owned()]);
        command
            .env("PATH", std::env::join_paths(path)?)
            .args(line.split_whitespace());
        ran(command).await
    }
}

impl Ran {
    /// Sees that it was done; gives what it said.
    pub fn done(self) -> anyhow::Result<String> {
        ensure!(self.code == Some(0), "{self:#?}");
        Ok(self.out)
    }

    /// Sees that it was refused or failed; gives what it said about that.
    pub fn refused(self) -> anyhow::Result<String> {
        ensure!(self.code == Some(1), "{self:#?}");
        Ok(self.err)
    }
}

/// Runs a program to its end, whatever that is.
pub async fn ran(mut command: Command) -> anyhow::Result<Ran> {
    let output = command.kill_on_drop(true).output().await;
    let Output {
        status,
        stdout,
        stderr,
    } = output.context("run a program")?;
    Ok(Ran {
        code: status.code(),
        out: String::from_utf8(stdout)?,
        err: String::from_utf8(stderr)?,
    })
}

/// A folder with the agent's program and the plugin.
///
/// # Errors
///
/// If one of them cannot be built.
pub async fn programs() -> anyhow::Result<PathBuf> {
    let agent = static_binary("pod-quarantine", Profile::Dev).await?;
    let folder = agent.parent().context("a program without a folder")?;
    ensure!(
        program().await?.parent() == Some(folder),
        "{}",
        agent.display()
    );
    Ok(folder.to_owned())
}

/// The program, as `prepare` built it.
async fn program() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || async {
        let program = static_binary("kubectl-quarantine", Profile::Dev).await?;
        let completes = program.with_file_name("kubectl_complete-quarantine");
        if !completes.exists() {
            std::os::unix::fs::symlink(&program, completes)?;
        }
        Ok::<_, anyhow::Error>(program)
    };
    Ok(PROGRAM.get_or_try_init(build).await?)
}
