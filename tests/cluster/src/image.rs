//! Images without a registry: an archive in the OCI layout around static binaries.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::layout::hex;

/// An image of one layer, to be written to an archive.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    files: Vec<File>,
    entrypoint: Vec<String>,
    user: String,
}

#[derive(Clone, Debug)]
struct File {
    inside: String,
    source: PathBuf,
    mode: u32,
}

impl Image {
    /// An image with a program at its root, run as nobody in particular. A name without a registry means Docker's, as
    /// everywhere; `localhost/…` is none.
    pub fn from_binary(name: &str, binary: impl Into<PathBuf>) -> Self {
        let binary = binary.into();
        let inside = binary.file_name().map_or_else(
            || "/program".into(),
            |name| format!("/{}", name.to_string_lossy()),
        );
        Self {
            name: full_name(name),
            entrypoint: vec![inside.clone()],
            user: "65532:65532".into(),
            files: vec![File {
                inside,
                source: binary,
                mode: 0o755,
            }],
        }
    }

    /// Adds arguments that the program is always called with.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.entrypoint
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Runs it as another user, `uid` or `uid:gid`.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Puts one more file into it.
    #[must_use]
    pub fn file(mut self, inside: &str, source: impl Into<PathBuf>, mode: u32) -> Self {
        self.files.push(File {
            inside: inside.into(),
            source: source.into(),
            mode,
        });
        self
    }

    /// Its full name, as a pod has to call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the archive. The same files make the same archive.
    pub fn write(&self, archive: &Path) -> anyhow::Result<()> {
        let file =
            fs::File::create(archive).with_context(|| format!("write {}", archive.display()))?;
        self.write_to(std::io::BufWriter::new(file))
            .with_context(|| format!("write the image {} to {}", self.name, archive.display()))
    }

    fn write_to(&self, archive: impl Write) -> anyhow::Result<()> {
        let layer = self.layer()?;
        let layer_digest = digest(&layer);
        let config = serde_json::to_vec(&self.config(&layer_digest))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        }))?;
        let mut listed = descriptor(MANIFEST, &manifest);
        if let Some(listed) = listed.as_object_mut() {
            listed.insert(
                "annotations".into(),
                json!({"io.containerd.image.name": self.name}),
            );
        }
        let index = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [listed],
        }))?;

        let mut archive = tar::Builder::new(archive);
        append(
            &mut archive,
            "oci-layout",
            0o644,
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        append(&mut archive, "index.json", 0o644, &index)?;
        for blob in [&manifest, &config, &layer] {
            let name = format!("blobs/sha256/{}", hex(&Sha256::digest(blob)));
            append(&mut archive, &name, 0o644, blob)?;
        }
        archive.into_inner()?.flush()?;
        Ok(())
    }

    fn layer(&self) -> anyhow::Result<Vec<u8>> {
        let mut layer = tar::Builder::new(Vec::new());
        for file in &self.files {
            let content = fs::read(&file.source)
                .with_context(|| format!("read {}", file.source.display()))?;
            append(
                &mut layer,
                file.inside.trim_start_matches('/'),
                file.mode,
                &content,
            )?;
        }
        Ok(layer.into_inner()?)
    }

    fn config(&self, layer_digest: &str) -> Value {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "Env": ["PATH=/"]},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        })
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(blob)))
}

fn descriptor(kind: &str, blob: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": digest(blob), "size": blob.len()})
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    mode: u32,
    content: &[u8],
) -> anyhow::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len()).context("a file's size")?);
    header.set_mode(mode);
    header.set_mtime(0);
    Ok(archive.append_data(&mut header, name, content)?)
}

/// As the kubelet completes a name.
fn full_name(name: &str) -> String {
    let registry = name.split_once('/').map(|(registry, _)| registry);
    let has_registry = registry.is_some_and(|registry| {
        registry == "localhost" || registry.contains('.') || registry.contains(':')
    });
    let name = match (has_registry, registry) {
        (true, _) => name.to_owned(),
        (false, Some(_)) => format!("docker.io/{name}"),
        (false, None) => format!("docker.io/library/{name}"),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains(':') {
        name
    } else {
        format!("{name}:latest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read as _;

    fn entries(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(name, (entry.header().mode().unwrap(), content));
        }
        found
    }

    fn blob(archive: &BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
        let content = archive[&format!("blobs/{digest}")].1.clone();
        assert_eq!(descriptor["size"], content.len());
        assert_eq!(
            descriptor["digest"],
            format!("sha256:{}", hex(&Sha256::digest(&content)))
        );
        content
    }

    #[test]
    fn every_descriptor_leads_to_its_blob_and_the_layer_holds_the_files() {
        let directory = std::env::temp_dir().join(format!("image-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("program"), b"\x7fELF").unwrap();
        fs::write(directory.join("ca.pem"), b"certificates").unwrap();
        let image = Image::from_binary("web:dev", directory.join("program"))
            .arguments(&["serve"])
            .user("1000")
            .file("/etc/ssl/ca.pem", directory.join("ca.pem"), 0o644);
        let mut written = Vec::new();
        image.write_to(&mut written).unwrap();
        let mut again = Vec::new();
        image.write_to(&mut again).unwrap();
        assert_eq!(written, again, "the same files make the same archive");

        let archive = entries(&written);
        assert!(archive.contains_key("oci-layout"));
        let index: Value = serde_json::from_slice(&archive["index.json"].1).unwrap();
        let listed = &index["manifests"][0];
        assert_eq!(
            listed["annotations"]["io.containerd.image.name"],
            "docker.io/library/web:dev"
        );
        let manifest: Value = serde_json::from_slice(&blob(&archive, listed)).unwrap();
        let config: Value = serde_json::from_slice(&blob(&archive, &manifest["config"])).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/program", "serve"]));
        assert_eq!(config["config"]["User"], "1000");
        let layer = &manifest["layers"][0];
        assert_eq!(config["rootfs"]["diff_ids"][0], layer["digest"]);
        let layer = entries(&blob(&archive, layer));
        assert_eq!(layer["program"], (0o755, b"\x7fELF".to_vec()));
        assert_eq!(layer["etc/ssl/ca.pem"], (0o644, b"certificates".to_vec()));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn names_are_completed_as_the_kubelet_does() {
        for (short, full) in [
            ("web", "docker.io/library/web:latest"),
            ("web:1", "docker.io/library/web:1"),
            ("team/web:1", "docker.io/team/web:1"),
            ("localhost/web:1", "localhost/web:1"),
            (
                "registry.example:5000/web",
                "registry.example:5000/web:latest",
            ),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}
