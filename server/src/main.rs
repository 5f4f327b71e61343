//! The binary. A confined extraction is looked for before anything else: it must not inherit threads, a runtime or
//! settings.

use clap::Parser;
use server::{
    backup::{self, Wishes},
    cli::{Cli, Command, Role, UserCommand},
    commands,
    config::Raw,
    lifecycle, logging, traces,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "extract") {
        return ingest::extract::run_child(std::env::args_os().skip(2));
    }
    match run(Cli::parse().command.unwrap_or(Command::Serve { role: Role::All, demo: false })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("insighthub: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    server::install_cryptography();
    let raw = Raw::read(|name| std::env::var(name).ok())?;
    let config = raw.check()?;
    if matches!(command, Command::Config) {
        print!("{}", raw.describe(&config));
        return Ok(());
    }
    let collector = config.traces.clone().filter(|_| matches!(command, Command::Serve { .. }));
    let (spans, sender) = collector.map(traces::to).transpose()?.unzip();
    logging::start(&config.log, config.log_format, spans)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let sending = sender.map(traces::Sender::start);
        let done = match command {
            Command::Serve { role, demo } => lifecycle::serve(config, role, demo).await,
            Command::Migrate { from: Some(from), to: Some(to) } => {
                commands::move_installation(config, from, to).await
            }
            Command::Migrate { .. } => commands::migrate(config).await,
            Command::Backup { to } => backup::backup(config, to).await,
            Command::Restore { from, revoke_keys, even_damaged } => {
                backup::restore(config, from, Wishes { revoke_keys, even_damaged }).await
            }
            Command::Restored { revoke_keys } => backup::restored(config, revoke_keys).await,
            Command::Check { repair, quick } => commands::check(config, repair, quick).await,
            Command::User { command: UserCommand::Add { username, email, full_name } } => {
                let mut password = String::new();
                std::io::stdin().read_line(&mut password)?;
                let password = password.trim_end_matches(['\r', '\n']).to_owned();
                commands::add_user(config, username, email, full_name, password).await
            }
            // Both were dealt with above.
            Command::Config | Command::Extract => Ok(()),
        };
        if let Some(sending) = sending {
            sending.finish().await;
        }
        done
    });
    // A stuck blocking task, such as a disk that does not answer, must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    Ok(done?)
}
