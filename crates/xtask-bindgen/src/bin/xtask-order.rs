//! Puts functions of a length next to one another in a finished WASM. Those that the compiler made of the same code for
//! different types are of nearly one length; side by side, brotli finds what they have in common. No instruction changes.

use std::cmp::Ordering;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{CodeSectionReader, FunctionSectionReader, Parser, Payload, TypeRef};

const USAGE: &str = "xtask-order WASM";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(env::args_os().skip(1).map(PathBuf::from).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask-order: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the file anew.
fn run(args: Vec<PathBuf>) -> Result<(), Failure> {
    let [file] = args.as_slice() else { return Err(format!("usage: {USAGE}").into()) };
    let wasm = fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    fs::write(file, ordered(&wasm)?).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    Ok(())
}

fn ordered(wasm: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut module = Module::new();
    let mut order = Order::of(wasm)?;
    order.parse_core_module(&mut module, Parser::new(0), wasm).map_err(|e| e.to_string())?;
    Ok(module.finish())
}

/// Which function goes where.
struct Order {
    imported: u32,
    /// The defined functions by their new places, as counted before, without the imported ones.
    functions: Vec<usize>,
    /// The new place of each.
    places: Vec<u32>,
}

impl Order {
    fn of(wasm: &[u8]) -> Result<Self, Failure> {
        let (mut imported, mut bodies) = (0, vec![]);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let Range { start, end } = body.range();
                    bodies.push(&wasm[start as usize..end as usize]);
                }
                _ => {}
            }
        }
        let mut functions: Vec<usize> = (0..bodies.len()).collect();
        let by_length = |a: &usize, b: &usize| -> Ordering {
            bodies[*a].len().cmp(&bodies[*b].len()).then_with(|| bodies[*a].cmp(bodies[*b]))
        };
        functions.sort_by(by_length);
        let mut places = vec![0; functions.len()];
        for (place, function) in (0..).zip(&functions) {
            places[*function] = place;
        }
        Ok(Self { imported, functions, places })
    }
}

impl Reencode for Order {
    type Error = String;

    fn function_index(&mut self, func: u32) -> Result<u32, Error<String>> {
        let Some(defined) = func.checked_sub(self.imported) else { return Ok(func) };
        let place = self.places.get(defined as usize);
        place.map(|place| self.imported + place).ok_or_else(|| unknown(func))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<String>> {
        let types = section.into_iter().collect::<Result<Vec<_>, _>>()?;
        for &function in &self.functions {
            functions.function(*types.get(function).ok_or_else(|| unknown(function as u32))?);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<String>> {
        let bodies = section.into_iter().collect::<Result<Vec<_>, _>>()?;
        for function in self.functions.clone() {
            let body = bodies.get(function).ok_or_else(|| unknown(function as u32))?;
            utils::parse_function_body(self, code, body.clone())?;
        }
        Ok(())
    }
}

fn unknown(function: u32) -> Error<String> {
    Error::UserError(format!("the WASM has no function {function}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function, ImportSection,
        Instruction, RefType, TableSection, TableType, TypeSection,
    };

    /// A function of each length, the longest first, after an imported one; each calls the one after it.
    fn wasm() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("a", "b", EntityType::Function(0));
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        for length in [3, 2, 1] {
            functions.function(0);
            let mut body = Function::new([]);
            (0..length).for_each(|_| {
                body.instruction(&Instruction::Nop);
            });
            body.instruction(&Instruction::Call((5 - length) % 4)).instruction(&Instruction::End);
            code.function(&body);
        }
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 2,
            maximum: None,
            shared: false,
        });
        let mut exports = ExportSection::new();
        exports.export("longest", ExportKind::Func, 1);
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(vec![0, 3].into()));
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables);
        module.section(&exports).section(&elements).section(&code);
        module.finish()
    }

    /// Exported, in the table, and for each body its length and what it calls.
    fn seen(wasm: &[u8]) -> (Vec<u32>, Vec<u32>, Vec<(u64, u32)>) {
        let (mut exported, mut table, mut bodies) = (vec![], vec![], vec![]);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.expect("read") {
                Payload::ExportSection(exports) => {
                    exported.extend(exports.into_iter().map(|export| export.expect("an export").index));
                }
                Payload::ElementSection(elements) => {
                    for element in elements {
                        if let wasmparser::ElementItems::Functions(items) = element.expect("elements").items {
                            table.extend(items.into_iter().map(|item| item.expect("a function")));
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let Range { start, end } = body.range();
                    let called = body.get_operators_reader().expect("a body").into_iter().find_map(|op| {
                        match op.expect("an instruction") {
                            wasmparser::Operator::Call { function_index } => Some(function_index),
                            _ => None,
                        }
                    });
                    bodies.push((end - start, called.expect("a call")));
                }
                _ => {}
            }
        }
        (exported, table, bodies)
    }

    #[test]
    fn functions_stand_by_their_length_and_every_reference_follows() {
        let before = wasm();
        let (exported, table, bodies) = seen(&before);
        assert_eq!((exported, table), (vec![1], vec![0, 3]));
        assert_eq!(bodies, [(7, 2), (6, 3), (5, 0)]);
        let (exported, table, bodies) = seen(&ordered(&before).expect("ordered"));
        // The imported one keeps its place; of the others the first is the last, and the last the first.
        assert_eq!((exported, table), (vec![3], vec![0, 1]));
        assert_eq!(bodies, [(5, 0), (6, 1), (7, 2)]);
    }
}
