//! Fewer files of the browser's half. wasm-split makes a shared part for each set of parts that have something in common,
//! dozens of small files; each costs a request and begins its compression anew. Here they are put together into few packs,
//! one file each, and the loader takes the parts out of them. A page may thus fetch a little that it does not need; what
//! goes together is chosen so that all pages fetch the least.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::problem::{Doing, Done, Problem};
use crate::shell;

/// The parts that a page wants: by its name, the stems of files.
pub type List = BTreeMap<String, Vec<String>>;

/// What a file costs beside its bytes, in bytes of WASM before compression: the heads of a request and its answer, and a
/// compression that knows nothing yet.
const FILE: usize = 3_000;

/// In front of the loader: fetches a pack once, and cuts a part out of it as if that had been fetched by itself.
const CUT: &str = r#"const packs = {};
const cut = (url, from, to) => {
    packs[url] ??= fetch(new URL(url, import.meta.url)).then((answer) => {
        if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
        return answer.arrayBuffer();
    });
    // A failure is not kept: the next try asks again.
    packs[url].catch(() => delete packs[url]);
    return packs[url].then((all) => new Response(all.slice(from, to), { headers: { "content-type": "application/wasm" } }));
};
"#;

/// Puts the shared parts in `dir` together; the loader and the list that go with it.
pub fn pack(dir: &Path, loader: &str, list: &List) -> Done<(String, List)> {
    let wanted = wanted_by(list);
    let shared: Vec<&String> = wanted.iter().filter(|(_, by)| by.len() > 1).map(|(stem, _)| stem).collect();
    let mut packs = vec![];
    for stem in shared {
        let bytes = shell::read(&dir.join(format!("{stem}.wasm")))?;
        packs.push(Pack { stems: vec![stem.clone()], size: bytes.len(), by: wanted[stem].clone() });
    }
    let packs = joined(packs);
    let mut loader = format!("{CUT}{loader}");
    let mut names = BTreeMap::new();
    for (n, pack) in packs.iter().enumerate() {
        let name = format!("shared_{n}");
        let mut all = vec![];
        for stem in &pack.stems {
            let file = dir.join(format!("{stem}.wasm"));
            let bytes = shell::read(&file)?;
            let alone = format!(r#"fetch(new URL("./{stem}.wasm", import.meta.url))"#);
            if loader.matches(&alone).count() != 1 {
                return Err(Problem::new(format!(
                    "the loader does not fetch {stem}.wasm in the way that is known"
                )));
            }
            let cut = format!(r#"cut("./{name}.wasm", {}, {})"#, all.len(), all.len() + bytes.len());
            loader = loader.replace(&alone, &cut);
            all.extend(bytes);
            fs::remove_file(&file).doing(|| format!("cannot remove {}", file.display()))?;
            names.insert(stem.clone(), name.clone());
        }
        shell::write(&dir.join(format!("{name}.wasm")), all)?;
    }
    let mut packed = list.clone();
    for files in packed.values_mut() {
        let mut seen = BTreeSet::new();
        *files = files.iter().map(|stem| names.get(stem).unwrap_or(stem).clone()).collect();
        files.retain(|file| seen.insert(file.clone()));
    }
    Ok((loader, packed))
}

/// For each file the parts that want it.
fn wanted_by(list: &List) -> BTreeMap<String, BTreeSet<&str>> {
    let mut wanted: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (part, files) in list {
        for file in files {
            wanted.entry(file.clone()).or_default().insert(part);
        }
    }
    wanted
}

struct Pack<'a> {
    stems: Vec<String>,
    size: usize,
    by: BTreeSet<&'a str>,
}

impl<'a> Pack<'a> {
    /// What all parts together would fetch less if the two were one file.
    fn gain(&self, other: &Self) -> isize {
        let both = self.by.intersection(&other.by).count();
        let saved = both * FILE;
        let lost = self.size * (other.by.len() - both) + other.size * (self.by.len() - both);
        saved as isize - lost as isize
    }

    fn join(&mut self, other: Pack<'a>) {
        self.stems.extend(other.stems);
        self.size += other.size;
        self.by.extend(other.by);
    }
}

/// Joins the two that it pays most for, as long as it pays.
fn joined(mut packs: Vec<Pack<'_>>) -> Vec<Pack<'_>> {
    loop {
        let pairs = (0..packs.len()).flat_map(|a| (a + 1..packs.len()).map(move |b| (a, b)));
        let best = pairs.map(|(a, b)| (packs[a].gain(&packs[b]), a, b)).max_by_key(|(gain, ..)| *gain);
        let Some((_, a, b)) = best.filter(|(gain, ..)| *gain > 0) else { return packs };
        let other = packs.remove(b);
        packs[a].join(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(of: &[(&str, &[&str])]) -> List {
        of.iter()
            .map(|(part, files)| (part.to_string(), files.iter().map(|f| f.to_string()).collect()))
            .collect()
    }

    fn loader(stems: &[&str]) -> String {
        let line =
            |stem: &&str| format!("const _{stem} = fetch(new URL(\"./{stem}.wasm\", import.meta.url));\n");
        stems.iter().map(line).collect()
    }

    #[test]
    fn small_parts_that_are_wanted_together_become_one_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let stems = ["chunk_1", "chunk_2", "chunk_3", "split_a", "split_b", "split_c"];
        for (n, stem) in (1..).zip(stems) {
            shell::write(&dir.path().join(format!("{stem}.wasm")), stem.repeat(n)).expect("written");
        }
        // The third is large, and the page that wants it alone with the others would pay for it everywhere else.
        shell::write(&dir.path().join("chunk_3.wasm"), vec![7; 50_000]).expect("written");
        let before = list(&[
            ("a", &["chunk_1", "chunk_2", "split_a"]),
            ("b", &["chunk_1", "chunk_2", "chunk_3", "split_b"]),
            ("c", &["chunk_3", "split_c"]),
        ]);
        let (loader, after) = pack(dir.path(), &loader(&stems), &before).expect("packed");
        assert_eq!(
            after,
            list(&[
                ("a", &["shared_0", "split_a"]),
                ("b", &["shared_0", "shared_1", "split_b"]),
                ("c", &["shared_1", "split_c"]),
            ])
        );
        let of = |name: &str| fs::read(dir.path().join(name)).expect("a file");
        assert_eq!(of("shared_0.wasm"), b"chunk_1chunk_2chunk_2");
        assert_eq!(of("shared_1.wasm").len(), 50_000);
        assert!(!dir.path().join("chunk_1.wasm").exists() && dir.path().join("split_a.wasm").exists());
        for line in [
            r#"const _chunk_1 = cut("./shared_0.wasm", 0, 7);"#,
            r#"const _chunk_2 = cut("./shared_0.wasm", 7, 21);"#,
            r#"const _chunk_3 = cut("./shared_1.wasm", 0, 50000);"#,
            r#"const _split_a = fetch(new URL("./split_a.wasm", import.meta.url));"#,
        ] {
            assert!(loader.contains(line), "{line} in {loader}");
        }
    }

    #[test]
    fn a_loader_that_fetches_in_another_way_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        shell::write(&dir.path().join("chunk_1.wasm"), "one").expect("written");
        let list = list(&[("a", &["chunk_1"]), ("b", &["chunk_1"])]);
        assert!(pack(dir.path(), "load('./chunk_1.wasm')", &list).is_err());
    }
}
