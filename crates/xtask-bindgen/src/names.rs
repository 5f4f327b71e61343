//! Short names for what the WASM imports from its script. wasm-bindgen names each function with a hash that does not
//! compress, once in the WASM and once in the script, and every visitor downloads both.

use wasm_encoder::{
    ImportSection, Section,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{Parser, Payload};

use crate::Failure;

/// The name of the script as the WASM knows it.
const SCRIPT: &str = "a";

/// The WASM and its script, with short names for all that the first imports from `module`, which is the second.
pub fn shortened(wasm: &[u8], script: &str, module: &str) -> Result<(Vec<u8>, String), Failure> {
    let mut script = script.to_owned();
    let mut replace = |old: &str, new: &str| {
        // A name is the key of an object here, and stands there once.
        match script.matches(old).count() {
            1 => script = script.replace(old, new),
            n => return Err(format!("the script has {n} times {old}")),
        }
        Ok(())
    };
    replace(&format!("\"{module}\":"), &format!("\"{SCRIPT}\":"))?;
    let mut start = 8;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let Some((_, range)) = payload.as_section() else { continue };
        let end = range.end as usize;
        if let Payload::ImportSection(section) = payload {
            let mut imports = ImportSection::new();
            for (at, import) in section.into_imports().enumerate() {
                let import = import?;
                let ty = RoundtripReencoder.entity_type(import.ty)?;
                if import.module == module {
                    let short = format!("_{at}");
                    replace(&format!(" {}:", import.name), &format!(" {short}:"))?;
                    imports.import(SCRIPT, &short, ty);
                } else {
                    imports.import(import.module, import.name, ty);
                }
            }
            let mut out = wasm[..start].to_vec();
            imports.append_to(&mut out);
            out.extend_from_slice(&wasm[end..]);
            return Ok((out, script));
        }
        start = end;
    }
    Err("the WASM imports nothing".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{EntityType, ExportKind, ExportSection, Module, TypeSection};

    fn wasm() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("./loader.js", "load", EntityType::Function(0));
        imports.import("./app_bg.js", "__wbg_new_1234", EntityType::Function(0));
        let mut exports = ExportSection::new();
        exports.export("start", ExportKind::Func, 0);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&exports);
        module.finish()
    }

    const IMPORTS: &str = "{ __wbg_new_1234: function() {} }; return { \"./app_bg.js\": import0 }";

    #[test]
    fn what_comes_from_the_script_has_short_names_on_both_sides() {
        let (short, script) = shortened(&wasm(), IMPORTS, "./app_bg.js").expect("shortened");
        let mut names = vec![];
        for payload in Parser::new(0).parse_all(&short) {
            if let Payload::ImportSection(section) = payload.expect("read") {
                names.extend(section.into_imports().map(|import| {
                    let import = import.expect("an import");
                    (import.module.to_owned(), import.name.to_owned())
                }));
            }
        }
        let pair = |module: &str, name: &str| (module.to_owned(), name.to_owned());
        assert_eq!(names, [pair("./loader.js", "load"), pair("a", "_1")]);
        assert_eq!(script, "{ _1: function() {} }; return { \"a\": import0 }");
        // The rest is as it was.
        assert!(short.ends_with(&wasm()[wasm().len() - 11..]));
    }

    #[test]
    fn a_name_that_the_script_does_not_have_once_is_an_error() {
        for script in ["", "{ \"./app_bg.js\": a }", &format!("{IMPORTS}{IMPORTS}")] {
            assert!(shortened(&wasm(), script, "./app_bg.js").is_err());
        }
    }
}
