//! `verify`: reads everything in a data directory that no server has open, and accepts damage to it when told to.

mod print;
mod report;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use self::report::{Remedy, Report};
use super::output::Form;
use super::{ExitStatus, Failure, tell};
use crate::server::ServerError;
use crate::server::limits::DEFAULT_DATA_DIR;
use crate::server::offline::{Offline, quoted};

const EXAMPLES: &str = "\
Examples:
  blazedb verify
  blazedb verify --data-dir /var/lib/blazedb --database shop
  blazedb verify -o json
  blazedb verify --accept-loss

Stop the server first. Every row is read again, counts and digests are computed anew, records are held against the \
changes by position both ways, and the log is walked with all its checksums. Without --accept-loss nothing is changed.

--accept-loss says what goes and asks; then the database takes writes again. Nothing is deleted: the damaged files are moved to \
log/lost-N or store.damaged-N in the database's directory. Whoever watched the database begins again.

Exit status: 0 when everything is sound or was mended, 1 when it could not be read, 11 when a server has the directory, 12 when \
it was written by a newer release or is none of BlazeDB's, 20 when there is damage.";

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the data lies
    #[arg(long, value_name = "DIRECTORY", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// One database instead of all
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Go on without what is damaged
    #[arg(long)]
    accept_loss: bool,
    /// Do not ask
    #[arg(long, requires = "accept_loss")]
    yes: bool,
    /// How the report is printed: as text unless this is given
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Form>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let reports = {
        let offline =
            Offline::look(&args.data_dir, args.database.as_deref()).map_err(|error| failure(&error))?;
        let reports = offline.names().iter().map(|name| Report::of(&offline, name));
        let reports: Result<Vec<Report>, ServerError> = reports.collect();
        reports.map_err(|error| failure(&error))?
    };
    for report in &reports {
        print::print(report, args.output)?;
    }
    let damaged: Vec<&Report> = reports.iter().filter(|report| !report.is_sound()).collect();
    if damaged.is_empty() {
        return Ok(());
    }
    if !args.accept_loss {
        let advice = if damaged.iter().all(|report| matches!(report.remedy, Remedy::Backup)) {
            "restore it from a backup; verify cannot mend this".to_owned()
        } else {
            let name = damaged.first().map_or("", |report| &report.name);
            let directory = quoted(&args.data_dir);
            format!(
                "to go on without it: blazedb verify --data-dir {directory} --database {name} --accept-loss"
            )
        };
        let line = format!("there is damage, and nothing was changed; {advice}");
        return Err(Failure::Status(ExitStatus::Damaged, line));
    }
    let mut is_mended = true;
    for report in damaged {
        is_mended &= accept(args, report)?;
    }
    match is_mended {
        true => Ok(()),
        false => Err(Failure::Status(ExitStatus::Damaged, "there is damage left".to_owned())),
    }
}

/// Accepts the damage to one database; whether it is sound now.
fn accept(args: &Args, report: &Report) -> Result<bool, Failure> {
    let name = &report.name;
    if report.remedy == Remedy::Backup {
        tell(format_args!("database {name}: this cannot be mended here; restore it from a backup"));
        return Ok(false);
    }
    if !args.yes && !confirmed(name)? {
        tell(format_args!("database {name}: nothing was changed"));
        return Ok(false);
    }
    mend(&args.data_dir, name, &report.remedy).map_err(|error| failure(&error))?;
    // The log's damage may have hidden the store's, or the other way round.
    let again = Report::at(&args.data_dir, name).map_err(|error| failure(&error))?;
    if again.is_sound() {
        tell(format_args!("database {name}: accepted; it takes writes again"));
        return Ok(true);
    }
    print::print(&again, args.output)?;
    // Once more, if something else can be mended now.
    if again.remedy == report.remedy || again.remedy == Remedy::Backup {
        return Ok(false);
    }
    accept(args, &again)
}

fn mend(directory: &Path, name: &str, remedy: &Remedy) -> Result<(), ServerError> {
    let offline = Offline::change(directory, Some(name))?;
    let database = offline.open(name)?;
    match remedy {
        Remedy::Store => {
            let aside = database.set_store_aside()?;
            tell(format_args!("database {name}: the damaged store is in {}", aside.display()));
        }
        Remedy::Log => {
            database.accept()?;
        }
        Remedy::Nothing | Remedy::Backup => {}
    }
    Ok(())
}

fn confirmed(name: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let line = "--accept-loss asks before it changes anything, and there is no terminal: add --yes";
        return Err(Failure::Status(ExitStatus::Usage, line.to_owned()));
    }
    let mut stderr = io::stderr();
    let _ = write!(stderr, "Go on with database {name} without what is listed above? Type yes: ");
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::new)?;
    Ok(answer.trim() == "yes")
}

fn failure(error: &ServerError) -> Failure {
    use crate::store::directory::DirectoryError;
    let status = match error {
        ServerError::Directory(DirectoryError::Locked { .. }) => ExitStatus::DirectoryLocked,
        ServerError::Directory(DirectoryError::Newer { .. } | DirectoryError::Foreign { .. })
        | ServerError::NoData(_)
        | ServerError::Database { error: crate::engine::EngineError::Unusable(_), .. } => {
            ExitStatus::DirectoryUnusable
        }
        ServerError::Database { error: crate::engine::EngineError::Corrupted(_), .. } => ExitStatus::Damaged,
        _ => ExitStatus::Failed,
    };
    Failure::Status(status, error.to_string())
}
