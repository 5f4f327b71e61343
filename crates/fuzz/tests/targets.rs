//! Every target reads what it begins with: a target whose samples are refused tries nothing but the refusal.

use std::collections::HashSet;

#[test]
fn each_target_reads_one_of_its_samples_and_answers_none_wrongly() {
    for target in fuzz::targets() {
        let mut read = 0;
        for sample in (target.samples)() {
            match (target.run)(&sample) {
                Ok(is_read) => read += usize::from(is_read),
                Err(why) => panic!("{}: {why}", target.name),
            }
        }
        assert!(read > 0, "{} reads none of its samples", target.name);
    }
}

#[test]
fn targets_are_told_apart_by_names_that_a_folder_can_have() {
    let mut seen = HashSet::new();
    for target in fuzz::targets() {
        assert!(seen.insert(target.name), "{} is there twice", target.name);
        assert!(target.name.bytes().all(|b| b.is_ascii_lowercase()), "{}", target.name);
        assert!(fuzz::target(target.name).is_some_and(|found| found.name == target.name));
    }
    assert!(fuzz::target("nothing").is_none());
}

#[test]
fn the_words_of_a_format_are_a_dictionary() {
    for target in fuzz::targets() {
        let dictionary = target.dictionary();
        assert_eq!(
            dictionary.lines().count(),
            target.words.len(),
            "{}: a word is empty or too long",
            target.name
        );
        for line in dictionary.lines() {
            let word = line.strip_prefix('"').and_then(|line| line.strip_suffix('"'));
            assert!(word.is_some_and(|word| !word.is_empty()) && line.is_ascii(), "{}: {line}", target.name);
        }
    }
    let dictionary = fuzz::target("csv").expect("a target").dictionary();
    assert!(dictionary.lines().any(|line| line == r#""\"\"""#), "{dictionary}");
    assert!(dictionary.lines().any(|line| line == r#""\x0d\x0a""#), "{dictionary}");
}

#[test]
fn what_was_made_to_do_harm_is_among_the_seeds() {
    for name in ["csv", "json", "html", "text"] {
        let target = fuzz::target(name).expect("a target");
        let seeds = target.seeds();
        assert!(seeds.len() > (target.samples)().len(), "{name}");
        assert!(seeds.iter().all(|seed| seed.len() <= fuzz::LONGEST), "{name}");
    }
}
