//! What `make dist` packs can be installed: by hand, and by krew without a network. The workflows that would publish it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{command:?}: {printed}");
    printed
}

/// Packs the programs as the tests build them.
fn packed(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/dist/build");
    let mut build = Command::new(script);
    run(build.env("PROFILE", "dev").env("DIST", &folder));
    folder
}

fn tool(name: &str) -> Command {
    let directory = std::env::var("CHART_TOOLS").expect("CHART_TOOLS: `make test` sets it");
    Command::new(format!("{directory}/{name}"))
}

/// The archive of a program.
fn archive(folder: &Path, program: &str) -> PathBuf {
    let mut files = folder.read_dir().unwrap().map(|file| file.unwrap().path());
    let is_its = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with(&format!("{program}-v")) && name.ends_with(".tar.gz")
    };
    files.find(is_its).unwrap()
}

#[test]
fn krew_installs_the_plugin_from_its_archive_and_it_completes() {
    let folder = packed("dist-krew");
    let manifest = folder.join("quarantine.yaml");
    run(tool("validate-krew-manifest")
        .args(["-skip-install", "-manifest"])
        .arg(&manifest));
    let root = folder.join("krew");
    run(tool("krew")
        .arg("install")
        .arg(format!("--manifest={}", manifest.display()))
        .arg(format!(
            "--archive={}",
            archive(&folder, "kubectl-quarantine").display()
        ))
        .env("KREW_ROOT", &root));
    let bin = root.join("bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let version = run(Command::new("kubectl")
        .args(["quarantine", "--version"])
        .env("PATH", &path));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    // As the manifest tells people after the installation.
    let text = std::fs::read_to_string(&manifest).unwrap();
    let link = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("ln -s "))
        .unwrap();
    run(Command::new("sh")
        .args(["-ec", link])
        .env("KREW_ROOT", &root));
    let completes = run(Command::new("kubectl")
        .args(["__complete", "quarantine", "unin"])
        .env("PATH", &path));
    assert!(completes.contains("uninstall-prepare"), "{completes}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn packing_twice_gives_the_same_archives_each_with_a_program_that_runs() {
    let folders = ["dist-one", "dist-two"].map(packed);
    let sums = folders
        .each_ref()
        .map(|folder| std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap());
    assert_eq!(sums[0], sums[1]);
    assert_eq!(sums[0].lines().count(), 2);
    for folder in folders {
        run(Command::new("sha256sum")
            .args(["--check", "SHA256SUMS"])
            .current_dir(&folder));
        for program in ["pod-quarantine", "kubectl-quarantine"] {
            let listed = run(Command::new("tar")
                .args(["--extract", "--verbose", "--file"])
                .arg(archive(&folder, program))
                .current_dir(&folder));
            assert_eq!(listed, format!("{program}\nLICENSE\n"));
            let version = run(Command::new(folder.join(program)).arg("--version"));
            assert_eq!(
                version,
                format!("{program} {}\n", env!("CARGO_PKG_VERSION"))
            );
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// An action that is named by a tag is another one tomorrow.
#[test]
fn the_workflows_pass_actionlint_and_name_actions_by_their_commit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let files: Vec<PathBuf> = folder
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), 2);
    run(tool("actionlint").args(&files));
    let mut actions = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            actions += 1;
            let (_, commit) = line.split_once('@').expect(line);
            let (commit, version) = commit.split_once(" # v").expect(line);
            let is_commit =
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit, "{line}");
            assert!(
                version.starts_with(|first: char| first.is_ascii_digit()),
                "{line}"
            );
        }
    }
    assert!(actions > 5, "{actions}");
}
