//! `kubectl quarantine`: kubectl runs a program of this name from the path.

use std::{borrow::Cow, ffi::OsString, io::Write, path::Path, process::ExitCode};

use pod_quarantine::plugin::{
    self,
    arguments::Arguments,
    completion::{PROGRAM, complete},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let called = words.first().map(Path::new).and_then(Path::file_name);
    // kubectl needs nothing but a link of that name.
    if called == Some(PROGRAM.as_ref()) {
        let typed = words.iter().skip(1).map(|word| word.to_string_lossy());
        let typed: Vec<String> = typed.map(Cow::into_owned).collect();
        print(&complete(&typed).await);
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::read(words) {
        Ok(arguments) => arguments,
        // Help is printed to standard output with exit code 0, a mistake to standard error with 2.
        Err(mistake) => mistake.exit(),
    };
    let printout = match plugin::run(&arguments).await {
        Ok(printout) => printout,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    print(&printout.stdout);
    for line in &printout.stderr {
        eprintln!("{line}");
    }
    if printout.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// A reader that closes the pipe, such as `head`, is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
