//! The commands of docs/install.md for Helm and kustomize, run as they stand there but for names and the image, in a copy of
//! `deploy`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use test_e2e::{Stage, programs, ran};

const PAGE: &str = include_str!("../../../../docs/install.md");

/// A section of the page.
struct Section<'a> {
    text: &'a str,
    /// What stands for `pod-quarantine` where that is a name on the cluster.
    name: &'a str,
}

impl<'a> Section<'a> {
    fn of(heading: &str, name: &'a str) -> anyhow::Result<Self> {
        let (_, text) = PAGE
            .split_once(&format!("\n## {heading}\n"))
            .with_context(|| format!("no section {heading}"))?;
        let text = text.split("\n## ").next().unwrap_or(text);
        Ok(Self { text, name })
    }

    /// The first block of that kind, with the image of the tests.
    fn block(&self, info: &str) -> anyhow::Result<String> {
        let (_, block) = self
            .text
            .split_once(&format!("```{info}\n"))
            .context(info.to_owned())?;
        let (block, _) = block.split_once("```").context("a block without end")?;
        let image = "{ repository: registry.example.com/pod-quarantine }";
        let block = block.replace(image, "{ repository: pod-quarantine, tag: test }");
        let image = r#"newName: registry.example.com/pod-quarantine, newTag: "0.1.0""#;
        Ok(block.replace(image, "newName: pod-quarantine, newTag: test"))
    }

    /// The commands, each in one line.
    fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let commands = joined.lines().filter_map(|line| line.strip_prefix("$ "));
        commands.map(|command| self.renamed(command)).collect()
    }

    fn renamed(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        // The program is called so, too.
        let program = words.next().unwrap_or_default().to_owned();
        let words = words.map(|word| match word {
            "pod-quarantine" => self.name.to_owned(),
            "deployment/pod-quarantine" => format!("deployment/{}", self.name),
            word => word.to_owned(),
        });
        [vec![program], words.collect::<Vec<_>>()]
            .concat()
            .join(" ")
    }
}

/// A folder with `deploy`, in which commands are run.
struct Folder {
    stage: Stage,
    path: PathBuf,
    programs: PathBuf,
}

impl Folder {
    async fn run(&self, command: &str) -> anyhow::Result<String> {
        let mut shell = self.stage.cluster.command("bash");
        let path = format!(
            "{}:{}",
            self.programs.display(),
            path_of(&shell).context("a PATH")?
        );
        shell
            .args(["-ec", command])
            .env("PATH", path)
            .current_dir(&self.path);
        let ended = ran(shell.into()).await?;
        println!("$ {command}\n{}{}", ended.out, ended.err);
        ended.done()
    }

    async fn run_all(&self, section: &Section<'_>) -> anyhow::Result<()> {
        let commands = section.commands();
        ensure!(!commands.is_empty(), "no command");
        for command in commands {
            self.run(&command).await?;
        }
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let file = self.path.join(file);
        std::fs::create_dir_all(file.parent().context("a folder")?)?;
        std::fs::write(file, text).context("write a file")
    }
}

fn path_of(command: &std::process::Command) -> Option<String> {
    let set = command.get_envs().find(|(key, _)| *key == "PATH");
    let path = set.and_then(|(_, value)| value.map(ToOwned::to_owned));
    let path = path.or_else(|| std::env::var_os("PATH"))?;
    path.into_string().ok()
}

#[tokio::test]
async fn the_commands_of_the_page_install_upgrade_and_uninstall() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let by_helm = stage.namespace("pod-quarantine-by-helm").await?;
    let by_kustomize = stage.namespace("pod-quarantine-by-kustomize").await?;
    let path = std::env::temp_dir().join(format!("commands-of-{}", by_helm.name()));
    std::fs::create_dir_all(&path)?;
    let folder = Folder {
        stage: stage.clone(),
        programs: programs().await?,
        path,
    };
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    folder.run(&format!("cp -r {} .", deploy.display())).await?;

    let helm = Section::of("Helm", by_helm.name())?;
    let values = helm.block("yaml helm")?;
    folder.write("my-values.yaml", &values)?;
    folder.run_all(&helm).await?;

    let kustomize = Section::of("kustomize", by_kustomize.name())?;
    // Nothing of the cluster is called as that of other installations.
    let suffix = by_kustomize.name().trim_start_matches("pod-quarantine");
    let kustomization = kustomize.block("yaml")?.replace(
        "namespace: pod-quarantine\n",
        &format!("namespace: {}\nnameSuffix: {suffix}\n", by_kustomize.name()),
    );
    folder.write("deploy/ops/kustomization.yaml", &kustomization)?;
    folder.run_all(&kustomize).await?;

    folder
        .run_all(&Section::of("Upgrading", by_helm.name())?)
        .await?;
    folder
        .run_all(&Section::of("Uninstalling", by_helm.name())?)
        .await?;
    let left = folder
        .run("kubectl get clusterroles,clusterrolebindings,flowschemas,validatingadmissionpolicies,validatingadmissionpolicybindings -o name")
        .await?;
    for name in [by_helm.name(), by_kustomize.name()] {
        ensure!(!left.contains(name), "{left}");
    }
    std::fs::remove_dir_all(&folder.path).context("remove the copy")
}
