//! The program `export`.

use std::io::stdout;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tlog::audit::Verdict;
use verify::{Folder, Options, Recording, Result, exit_code};

/// How often the log is read again because records left while it was read.
const TRIES: usize = 3;

/// Writes the log of a service and all records of it to a folder, and verifies them meanwhile.
///
/// The folder has the layout of tlog-tiles, with the records and holds beside it. An export that
/// was interrupted goes on where it was; a later one adds what is new. Exit status: 0 intact, 1
/// tampered, 2 not verifiable.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// http(s)://HOST[:PORT]
    url: String,
    /// The folder to write
    folder: PathBuf,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<Verdict> {
    let options = &arguments.options;
    let key = options.log_key()?;
    let kept = options.kept(&key);
    let out = &mut stdout().lock();
    let service = options.service(&arguments.url)?;
    let mut recording = Recording::new(service, Folder::new(&arguments.folder))?;
    let mut tries = 1;
    let outcome = loop {
        let outcome = verify::verify(&mut recording, &key, &kept, out)?;
        let lacks_retention = outcome.has_followed && outcome.report.verdict() == Verdict::Intact;
        if !lacks_retention || tries == TRIES {
            break outcome;
        }
        // The folder must have the retention entries of the records that it lacks.
        println!("Records left meanwhile: reading what the log added");
        recording.again();
        tries += 1;
    };
    recording.finish(&outcome.note)?;
    let reused = match recording.reused() {
        0 => return Ok(outcome.report.verdict()),
        1 => "1 bundle of records was in the folder already and was".to_owned(),
        reused => format!("{reused} bundles of records were in the folder already and were"),
    };
    println!(
        "{reused} not read again: `verify {}` checks what the service has",
        arguments.url
    );
    Ok(outcome.report.verdict())
}
