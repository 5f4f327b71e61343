//! Takes out of a WASM what no browser of ours ever runs, though the compiler cannot know it: every view carries a table
//! of functions for each way in which a page of the framework can come to life, and our pages know one way. Such a
//! function is emptied in place: its body becomes a trap of the same length, so that no position moves, and its
//! relocations go, so that all that it alone needed is dropped when the WASM is taken apart.
//!
//! The compiler makes one function of several with the same code, under the name of any of them. So only those may be
//! named here whose code no other function can have: each makes a thing that nothing else makes.

use std::collections::HashMap;
use std::ops::Range;

use rustc_demangle::demangle;
use wasm_encoder::{CustomSection, Encode, Section};
use wasmparser::{KnownCustom, Name, NameSectionReader, Parser, Payload, RelocSectionReader, TypeRef};

use crate::Failure;

/// The ends of paths of functions.
const UNUSED: [&str; 2] = [
    // Takes a view over while parts of its page are still on their way: it makes the future of just that view.
    // `app::hydrate` fetches the parts first.
    "::into_any::hydrate_async",
    // Lists the pages below one, which is the server's to know: it makes the list of just that page.
    "::into_any_nested_route::generate_routes",
];

/// The opcodes that an emptied function consists of.
const UNREACHABLE: u8 = 0x00;
const NOP: u8 = 0x01;
const END: u8 = 0x0b;

/// Where a section stood, and what stands there instead.
type Replaced = (Range<usize>, Vec<u8>);

/// The WASM without them, and how many there were.
pub fn emptied(wasm: &[u8]) -> Result<(Vec<u8>, usize), Failure> {
    let found = Found::of(wasm)?;
    let unused: Vec<Range<usize>> = found.unused().collect();
    let mut out = wasm.to_vec();
    for body in &unused {
        let code = &mut out[body.clone()];
        let (end, rest) = code.split_last_mut().ok_or("a function without a body")?;
        rest.fill(NOP);
        // No locals, then the trap.
        rest[..2].copy_from_slice(&[0, UNREACHABLE]);
        *end = END;
    }
    if let Some((place, section)) = found.relocs(wasm, &unused)? {
        out.splice(place, section);
    }
    Ok((out, unused.len()))
}

/// What has to be known of a WASM.
#[derive(Default)]
struct Found<'a> {
    imports: usize,
    /// Where positions in the code are counted from.
    code_start: usize,
    bodies: Vec<Range<usize>>,
    names: HashMap<usize, &'a str>,
    /// The section of the relocations of the code, with its head.
    relocs: Option<(Range<usize>, RelocSectionReader<'a>)>,
}

impl<'a> Found<'a> {
    fn of(wasm: &'a [u8]) -> Result<Self, Failure> {
        let mut found = Self::default();
        // Sections are counted from the first, custom ones included; relocations name theirs by that.
        let (mut section, mut code) = (0_u32, None);
        // The start of a section is where the one before ended.
        let mut start = 8;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::ImportSection(imports) => {
                    for import in imports.clone().into_imports() {
                        found.imports += usize::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::CodeSectionStart { range, .. } => {
                    (found.code_start, code) = (range.start as usize, Some(section));
                }
                Payload::CodeSectionEntry(body) => {
                    found.bodies.push(usizes(body.range()));
                    continue;
                }
                Payload::CustomSection(custom) => match custom.as_known() {
                    KnownCustom::Name(names) => found.take_names(names)?,
                    KnownCustom::Reloc(relocs) if Some(relocs.section_index()) == code => {
                        found.relocs = Some((start..custom.range().end as usize, relocs));
                    }
                    _ => {}
                },
                _ => {}
            }
            if let Some((_, range)) = payload.as_section() {
                section += 1;
                start = range.end as usize;
            }
        }
        Ok(found)
    }

    fn take_names(&mut self, names: NameSectionReader<'a>) -> Result<(), Failure> {
        for part in names {
            if let Name::Function(functions) = part? {
                for function in functions {
                    let function = function?;
                    self.names.insert(function.index as usize, function.name);
                }
            }
        }
        Ok(())
    }

    /// The relocations without those of some bodies, and where they stood.
    fn relocs(&self, wasm: &[u8], without: &[Range<usize>]) -> Result<Option<Replaced>, Failure> {
        let Some((place, relocs)) = &self.relocs else { return Ok(None) };
        let (mut kept, mut count) = (vec![], 0_u32);
        let mut entries = relocs.entries().into_iter_with_offsets().peekable();
        while let Some(entry) = entries.next() {
            let (start, entry) = entry?;
            let end = match entries.peek() {
                Some(Ok((next, _))) => *next as usize,
                _ => place.end,
            };
            let at = self.code_start + entry.offset as usize;
            // The bodies stand in their order.
            let body = without.get(without.partition_point(|body| body.end <= at));
            if !body.is_some_and(|body| body.contains(&at)) {
                kept.extend_from_slice(&wasm[start as usize..end]);
                count += 1;
            }
        }
        let mut data = vec![];
        relocs.section_index().encode(&mut data);
        count.encode(&mut data);
        data.extend(kept);
        let mut section = vec![];
        CustomSection { name: "reloc.CODE".into(), data: data.into() }.append_to(&mut section);
        Ok(Some((place.clone(), section)))
    }

    fn unused(&self) -> impl Iterator<Item = Range<usize>> {
        let is_unused = |at: &usize| self.names.get(&(self.imports + at)).is_some_and(|name| is_unused(name));
        (0..self.bodies.len()).filter(is_unused).map(|at| self.bodies[at].clone())
    }
}

fn is_unused(name: &str) -> bool {
    let name = format!("{:#}", demangle(name));
    let path = without_arguments(&name);
    UNUSED.iter().any(|unused| path.ends_with(unused))
}

/// Cuts `::<…>` off the end.
fn without_arguments(name: &str) -> &str {
    if !name.ends_with('>') {
        return name;
    }
    let mut depth = 0;
    let opening = name.char_indices().rev().find(|(at, c)| {
        match c {
            // An arrow closes nothing.
            '>' if !name[..*at].ends_with('-') => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    opening.and_then(|(at, _)| name[..at].strip_suffix("::")).unwrap_or(name)
}

fn usizes(range: Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        CodeSection, Function, FunctionSection, Instruction, Module, NameMap, NameSection, TypeSection,
    };

    /// Three functions, each with a call of the first that has a relocation.
    fn wasm(names: [&str; 3]) -> Vec<u8> {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        module.section(&types);
        let (mut functions, mut code, mut all) = (FunctionSection::new(), CodeSection::new(), NameMap::new());
        for (at, name) in (0..).zip(names) {
            functions.function(0);
            let mut body = Function::new([]);
            body.instruction(&Instruction::Call(0)).instruction(&Instruction::Call(0));
            body.instruction(&Instruction::End);
            code.function(&body);
            all.append(at, name);
        }
        module.section(&functions).section(&code);
        // Each body is its length, no locals, twice a call and its function, and the end; one byte counts them.
        let mut relocs = vec![];
        2_u32.encode(&mut relocs);
        3_u32.encode(&mut relocs);
        for at in 0..3_u32 {
            relocs.push(0);
            (1 + at * 7 + 3).encode(&mut relocs);
            0_u32.encode(&mut relocs);
        }
        module.section(&CustomSection { name: "reloc.CODE".into(), data: relocs.into() });
        let mut section = NameSection::new();
        section.functions(&all);
        module.section(&section);
        module.finish()
    }

    fn offsets(wasm: &[u8]) -> Vec<u32> {
        let found = Found::of(wasm).expect("read");
        let (_, relocs) = found.relocs.expect("relocations");
        relocs.entries().into_iter().map(|entry| entry.expect("an entry").offset).collect()
    }

    #[test]
    fn a_function_that_no_browser_runs_becomes_a_trap_and_needs_nothing_more() {
        let before = wasm([
            "_ZN1T8into_any5build17h0123456789abcdefE",
            "_ZN1T8into_any13hydrate_async17h0123456789abcdefE",
            "_ZN1T7hydrate17h0123456789abcdefE",
        ]);
        let (after, count) = emptied(&before).expect("emptied");
        assert_eq!((count, offsets(&before).len(), offsets(&after)), (1, 3, vec![4, 18]));
        let bodies = Found::of(&after).expect("read").bodies;
        assert_eq!(after[bodies[1].clone()], [0, UNREACHABLE, NOP, NOP, NOP, END]);
        for at in [0, 2] {
            assert_eq!(after[bodies[at].clone()], before[bodies[at].clone()]);
        }
    }

    #[test]
    fn what_has_other_names_stays_as_it_is() {
        let names = [
            "_ZN1T4view13hydrate_async17h0123456789abcdefE",
            "_ZN1T8into_any13hydrate_async7closure17h0123456789abcdefE",
            "_ZN4core3ptr13drop_in_place17h0123456789abcdefE",
        ];
        let before = wasm(names);
        assert_eq!(emptied(&before).expect("emptied"), (before, 0));
    }

    #[test]
    fn a_path_ends_before_what_the_function_is_made_for() {
        for (name, path) in [
            ("<_ as a::B>::c", "<_ as a::B>::c"),
            ("<_ as a::B>::c::<d::E<f>>", "<_ as a::B>::c"),
            ("a::b::<fn() -> c, [d; 2]>", "a::b"),
            ("a::drop::<<b as c>::into_any::hydrate_async>", "a::drop"),
            ("<a as b>", "<a as b>"),
        ] {
            assert_eq!(without_arguments(name), path);
        }
    }
}
