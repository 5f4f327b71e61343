//! Where things are, and what `[workspace.metadata.leptos]` says: the one configuration that this command and
//! `cargo leptos` both build the site from. Nothing here touches the network or starts a program.

use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

use crate::problem::{Doing, Done, Problem};

/// The clone, the caches and the settings.
pub struct Project {
    /// The clone.
    pub root: PathBuf,
    /// `insighthub` in the user's cache folder: what is installed, which a fresh clone finds again.
    pub cache: PathBuf,
    /// Where everything is compiled: `CARGO_TARGET_DIR`, or a folder in the cache, so that a second clone (as CI
    /// makes) does not start from nothing.
    pub target: PathBuf,
    pub site: SiteSettings,
}

/// The settings of `[[workspace.metadata.leptos]]` that the build uses, with cargo-leptos's names and defaults.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct SiteSettings {
    pub output_name: String,
    pub bin_package: String,
    pub bin_target: String,
    pub bin_features: Vec<String>,
    pub lib_package: String,
    pub lib_features: Vec<String>,
    pub lib_default_features: bool,
    pub lib_profile: String,
    pub pkg_dir: String,
    pub tailwind_input: PathBuf,
    pub assets_dir: PathBuf,
    pub wasm_opt: Vec<String>,
    pub addr: String,
}

impl Project {
    pub fn load() -> Done<Self> {
        let root = find_root()?;
        let manifest = root.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).doing(|| format!("cannot read {}", manifest.display()))?;
        let site = SiteSettings::parse(&text)?;
        let cache = cache_dir()?.join("insighthub");
        let target = match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
            // A relative folder is meant from where the command was given, as cargo means it.
            Some(dir) => std::path::absolute(dir).doing(|| "CARGO_TARGET_DIR is no path".to_owned())?,
            None => cache.join("target"),
        };
        Ok(Self { root, cache, target, site })
    }

    pub fn models(&self) -> PathBuf {
        match env::var_os("INSIGHTHUB_MODELS_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => dir.into(),
            None => self.cache.join("models"),
        }
    }

    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// Where a talkative program's output is kept.
    pub fn log(&self, name: &str) -> PathBuf {
        self.cache.join("log").join(format!("{name}.log"))
    }

    pub fn style(&self) -> PathBuf {
        self.root.join("style")
    }

    pub fn end2end(&self) -> PathBuf {
        self.root.join("end2end")
    }

    /// The folder of the executables of a profile: `debug` for `dev`.
    pub fn profile_dir(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.dir())
    }

    /// The server's executable.
    pub fn server(&self, profile: Profile) -> PathBuf {
        self.profile_dir(profile).join(&self.site.bin_target)
    }
}

/// The two native profiles. One serves development, tests and smoke benches; the other is what people run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    fn dir(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

impl SiteSettings {
    fn parse(manifest: &str) -> Done<Self> {
        let manifest: Table = manifest.parse().doing(|| "Cargo.toml is no TOML".to_owned())?;
        let leptos = manifest
            .get("workspace")
            .and_then(|w| w.get("metadata"))
            .and_then(|m| m.get("leptos"))
            .and_then(|l| l.get(0))
            .and_then(Value::as_table)
            .ok_or_else(|| Problem::new("Cargo.toml has no [[workspace.metadata.leptos]]"))?;
        let text = |key: &str| leptos.get(key).and_then(Value::as_str).map(str::to_owned);
        let needed = |key: &str| {
            text(key).ok_or_else(|| Problem::new(format!("[[workspace.metadata.leptos]] lacks `{key}`")))
        };
        let list = |key: &str| -> Vec<String> {
            let items = leptos.get(key).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let lib_package = needed("lib-package")?;
        Ok(Self {
            output_name: text("output-name").unwrap_or_else(|| lib_package.replace('-', "_")),
            bin_package: needed("bin-package")?,
            bin_target: needed("bin-target")?,
            bin_features: list("bin-features"),
            lib_features: list("lib-features"),
            lib_default_features: leptos
                .get("lib-default-features")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            lib_profile: text("lib-profile-release").unwrap_or_else(|| "release".to_owned()),
            lib_package,
            pkg_dir: text("site-pkg-dir").unwrap_or_else(|| "pkg".to_owned()),
            tailwind_input: needed("tailwind-input-file")?.into(),
            assets_dir: needed("assets-dir")?.into(),
            wasm_opt: list("wasm-opt-features"),
            addr: text("site-addr").unwrap_or_else(|| "127.0.0.1:3000".to_owned()),
        })
    }
}

/// The clone that this command was called in: `cargo run` tells the package's folder, two below the root.
fn find_root() -> Done<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.ancestors().nth(2).map(Path::to_path_buf);
    root.ok_or_else(|| Problem::new(format!("{} does not lie in a clone", package.display())))
}

fn cache_dir() -> Done<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))).ok_or_else(|| {
        Problem::new("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder")
            .hint("set XDG_CACHE_HOME to a folder that may grow to some gigabytes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_this_workspace_are_understood() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let site = SiteSettings::parse(&fs::read_to_string(manifest).expect("a manifest")).expect("settings");
        assert_eq!(site.output_name, "insighthub");
        assert_eq!(site.bin_target, "insighthub");
        assert!(site.wasm_opt.iter().any(|flag| flag == "-Oz"));
    }

    /// What `cargo leptos` alone goes by, and why this command does not have to.
    const ITS_OWN: [(&str, &str); 9] = [
        ("name", "there is one project"),
        ("bin-exe-name", "compared below"),
        ("site-root", "the site lies beside the executable here, and the server is told where it is there"),
        ("reload-port", "nothing is reloaded here"),
        ("watch-additional-files", "nothing is watched here"),
        ("hash-files", "always done here"),
        ("disable-erase-components", "compared below"),
        ("end2end-dir", "compared below"),
        ("end2end-cmd", "`cargo xtask test` has its own"),
    ];

    fn toml(path: &str) -> Table {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).parse().expect("TOML")
    }

    #[test]
    fn both_ways_of_building_the_site_go_by_the_same_settings() {
        let manifest = toml("Cargo.toml");
        let leptos = manifest["workspace"]["metadata"]["leptos"][0].as_table().expect("settings");
        let text = |key: &str| leptos.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no {key}"));
        let written = manifest.to_string();
        let site = SiteSettings::parse(&written).expect("settings");
        // Each setting does something here, or there is a reason why not.
        for (key, value) in leptos {
            if ITS_OWN.iter().any(|(own, why)| own == key && !why.is_empty()) {
                continue;
            }
            let mut other = leptos.clone();
            match value {
                Value::Array(_) => other.insert(key.clone(), Value::Array(vec!["other".into()])),
                _ => other.insert(key.clone(), "other".into()),
            };
            let mut changed = manifest.clone();
            changed["workspace"]["metadata"]["leptos"][0] = Value::Table(other);
            let changed = SiteSettings::parse(&changed.to_string()).expect("settings");
            assert_ne!(changed, site, "`{key}` is read by cargo leptos alone");
        }
        // What is said twice is the same.
        let config = toml(".cargo/config.toml");
        assert_eq!(config["env"]["LEPTOS_OUTPUT_NAME"].as_str(), Some(text("output-name")));
        let flags = config["build"]["rustflags"].as_array().expect("flags");
        assert!(flags.iter().any(|flag| flag.as_str() == Some("erase_components")));
        assert_eq!(leptos["disable-erase-components"].as_bool(), Some(true), "the flags have it");
        let server = toml("server/Cargo.toml");
        assert_eq!(server["package"]["name"].as_str(), Some(text("bin-package")));
        assert_eq!(server["bin"][0]["name"].as_str(), Some(text("bin-target")));
        assert_eq!(server["bin"][0]["name"].as_str(), Some(text("bin-exe-name")));
        let pages = include_str!("../../../server/src/pages.rs");
        assert!(pages.contains(&format!("const OUTPUT_NAME: &str = \"{}\";", text("output-name"))));
        assert!(manifest["profile"].get(text("lib-profile-release")).is_some());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for key in ["tailwind-input-file", "assets-dir", "end2end-dir"] {
            assert!(root.join(text(key)).exists(), "{key}");
        }
        // `hash.txt` is there for both, and so the names with hashes are.
        assert_eq!(leptos["hash-files"].as_bool(), Some(true));
    }

    #[test]
    fn wasm_bindgen_and_its_tool_are_locked_at_one_version() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let lock: Table = fs::read_to_string(lock).expect("a lock file").parse().expect("TOML");
        let packages = lock.get("package").and_then(Value::as_array).expect("packages");
        let versions = |name: &str| -> Vec<&str> {
            let named = packages.iter().filter(|p| p.get("name").and_then(Value::as_str) == Some(name));
            named.filter_map(|p| p.get("version").and_then(Value::as_str)).collect()
        };
        assert_eq!(versions("wasm-bindgen").len(), 1);
        assert_eq!(versions("wasm-bindgen"), versions("wasm-bindgen-cli-support"));
    }

    #[test]
    fn a_missing_setting_is_named() {
        let said = SiteSettings::parse("[[workspace.metadata.leptos]]\nlib-package = 'x'")
            .map(|_| ())
            .expect_err("it lacks nearly all")
            .to_string();
        assert!(said.contains("bin-package"), "{said}");
    }
}
