//! `kubectl quarantine`: kubectl runs a program of this name on its path.

use std::{io::Write, process::ExitCode};

use pod_quarantine::plugin::{self, arguments::Arguments};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words = std::env::args_os();
    let arguments = match Arguments::read(words) {
        Ok(arguments) => arguments,
        // Help goes to standard output with 0, a mistake to standard error with 2.
        Err(mistake) => mistake.exit(),
    };
    let said = match plugin::run(&arguments).await {
        Ok(said) => said,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    // Whoever reads no further, such as `head`, has read enough.
    let _ = std::io::stdout().write_all(said.text.as_bytes());
    for line in &said.aside {
        eprintln!("{line}");
    }
    if said.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
