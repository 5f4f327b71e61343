//! What is uploaded: texts that take a few requests to the model, and a file that nobody can read.

use measure::dice::Dice;

pub const BROKEN: &str = "broken.pdf";
/// Words of each text.
const LENGTHS: [usize; 5] = [40, 700, 2_500, 6_000, 9_000];
const WORDS: [&str; 16] = [
    "harbour", "ledger", "lantern", "bridge", "gull", "stone", "merchant", "amber", "keeps", "counted",
    "crossed", "under", "every", "quiet", "northern", "river",
];

/// All of them, by name.
pub fn all() -> Vec<(String, Vec<u8>)> {
    let texts = LENGTHS.iter().enumerate().map(|(n, words)| (format!("text-{n}.md"), text(n as u64, *words)));
    texts.chain([(BROKEN.to_owned(), b"%PDF-1.4 and nothing that follows".to_vec())]).collect()
}

fn text(seed: u64, words: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut text = format!("# Text {seed}\n\n");
    for n in 1..=words {
        text.push_str(dice.one_of::<&str>(&WORDS));
        text.push_str(match n {
            _ if n % 400 == 0 => ".\n\n## Another part\n\n",
            _ if n % 90 == 0 => ".\n\n",
            _ if n % 11 == 0 => ". ",
            _ => " ",
        });
    }
    text.into_bytes()
}
