//! The command line. `insighthub extract` is not here: it is looked for before anything else starts.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "insighthub", version, about = "Documents in, live status, answers out.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Migrate the database, then serve. This is what happens without a command, too.
    Serve {
        /// What this process does.
        #[arg(long, value_enum, default_value_t = Role::All)]
        role: Role,
        /// Make an account with documents to look at, once, and print its password. On this machine only.
        #[arg(long)]
        demo: bool,
    },
    /// Bring the database to this version's shape, and stop. With --from and --to, move an installation instead.
    Migrate {
        /// The SQLite database to be moved, sqlite:…, whose server has to be stopped. It is brought to the shape of this version first.
        #[arg(long, requires = "to")]
        from: Option<String>,
        /// The PostgreSQL database that gets everything, postgres://…; it has to be empty.
        #[arg(long, requires = "from")]
        to: Option<String>,
    },
    /// Compare database, files and index, and say what does not agree. With SQLite the server has to be stopped; with PostgreSQL
    /// files of the last day are not looked for among those that belong to nothing, since they may be uploads in hand. All files
    /// are read, which takes its time where there are many.
    Check {
        /// Mend what can be mended.
        #[arg(long)]
        repair: bool,
        /// Read no file: look only whether each is there, and originals as long as they were.
        #[arg(long)]
        quick: bool,
    },
    /// Copy database and files into a folder, while the server runs. SQLite only; PostgreSQL has pg_dump.
    Backup {
        /// The folder that gets the copy; it is made, or has to be empty.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Put such a copy in the place of what is there, which is kept aside. The server has to be stopped. Each original is
    /// compared with what was uploaded.
    Restore {
        /// The folder of the copy.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// End all API keys: one that was revoked since the backup would hold again.
        #[arg(long)]
        revoke_keys: bool,
        /// Put it back although originals are gone or changed in it. It says which.
        #[arg(long)]
        even_damaged: bool,
    },
    /// Say that the database was put back by other means, such as pg_restore, before a server is started on it again.
    Restored {
        /// End all API keys: one that was revoked since the backup would hold again.
        #[arg(long)]
        revoke_keys: bool,
    },
    /// Print every setting with its value and where it comes from.
    Config,
    /// Manage accounts.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Read one untrusted document in a confined process; started by the server, of no use by hand.
    #[command(hide = true)]
    Extract,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Pages and API, and the work on documents.
    All,
    /// Pages and API only.
    Web,
    /// Work on documents only, with the health routes.
    Worker,
}

impl Role {
    pub fn serves_people(self) -> bool {
        self != Role::Worker
    }

    pub fn works(self) -> bool {
        self != Role::Web
    }
}

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make an account. The password is read from the first line of standard input.
    Add {
        #[arg(long)]
        username: String,
        #[arg(long)]
        email: String,
        #[arg(long)]
        full_name: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
