//! The twin of P9: the same page by Next.js, from the same database. npm brings what it is made of into the cache folder,
//! where it is built; a change of its files builds it anew.

use measure::{Failure, peer};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const PACKAGES: [&str; 4] = ["next@16.4.6", "react@19.3.1", "react-dom@19.3.1", "libsql@0.5.29"];
/// Its files, below `benches/live/twin`.
const FILES: [&str; 6] = [
    "next.config.mjs",
    "serve.mjs",
    "app/layout.jsx",
    "app/w/[id]/data.js",
    "app/w/[id]/page.jsx",
    "app/w/[id]/rows.jsx",
];

pub struct Twin {
    home: PathBuf,
}

impl Twin {
    /// # Errors
    /// When npm cannot fetch it, or it cannot be built.
    pub fn built() -> Result<Self, Failure> {
        let home = peer::cache().join("bench/next");
        peer::npm(&home, &PACKAGES)?;
        let source = measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/live/twin");
        let mut all = PACKAGES.join(" ");
        for file in FILES {
            let text = fs::read_to_string(source.join(file))?;
            let place = home.join(file);
            fs::create_dir_all(place.parent().ok_or("a file without a folder")?)?;
            fs::write(place, &text)?;
            all += &text;
        }
        let built = home.join("built");
        if fs::read_to_string(&built).is_ok_and(|of| of == all) {
            return Ok(Self { home });
        }
        eprintln!("building the Next.js twin in {}", home.display());
        let mut build = Command::new("node");
        build.arg(home.join("node_modules/next/dist/bin/next")).arg("build").current_dir(&home);
        if !build.env("NEXT_TELEMETRY_DISABLED", "1").stdout(Stdio::null()).status()?.success() {
            return Err("the Next.js twin could not be built; its words are above".into());
        }
        fs::write(built, all)?;
        Ok(Self { home })
    }

    /// What serves it, on the core of the server under test.
    pub fn command(&self, database: &Path) -> Command {
        let mut command = peer::on_core(0, "node");
        command
            .arg(self.home.join("serve.mjs"))
            .arg(database)
            .current_dir(&self.home)
            .env("NODE_ENV", "production")
            .env("NEXT_TELEMETRY_DISABLED", "1");
        command
    }
}
