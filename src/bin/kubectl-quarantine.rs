//! `kubectl quarantine`: kubectl runs a program of this name from the path.

use std::{
    borrow::Cow,
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use pod_quarantine::plugin::{
    self,
    arguments::Arguments,
    completion::{PROGRAM, complete},
    print::Printout,
};

/// The exit code of a mistake in the command line, as clap has it.
const USAGE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let called = words.first().map(Path::new).and_then(Path::file_name);
    // kubectl needs nothing but a link of that name.
    if called == Some(PROGRAM.as_ref()) {
        let typed = words.iter().skip(1).map(|word| word.to_string_lossy());
        let typed: Vec<String> = typed.map(Cow::into_owned).collect();
        let _ = io::stdout().write_all(complete(&typed).await.as_bytes());
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::read(words) {
        Ok(arguments) => arguments,
        // Help is printed to standard output with exit code 0, a mistake to standard error with 2.
        Err(mistake) => mistake.exit(),
    };
    let printout = match plugin::run(&arguments, &mut print).await {
        Ok(printout) => printout,
        Err(failure) => {
            eprintln!("{failure}");
            return if failure.is_usage() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            };
        }
    };
    // A reader that closes the pipe, such as `head`, is no error.
    let _ = print(&printout);
    if printout.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn print(printout: &Printout) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(printout.stdout.as_bytes())?;
    stdout.flush()?;
    for line in &printout.stderr {
        eprintln!("{line}");
    }
    Ok(())
}
