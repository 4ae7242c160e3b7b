//! The default rule book, built into the binary so that it works alone.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../rules/cheshire-east/", $name)))),+]
    };
}

/// File name and text of each file of `rules/cheshire-east`, its scenarios aside.
pub const FILES: &[(&str, &str)] = files![
    "agencies.toml",
    "bases.toml",
    "book.toml",
    "calendar.toml",
    "directory.toml",
    "facts.toml",
    "ladders.toml",
    "rules/decided.toml",
    "rules/domestic-abuse.toml",
    "rules/education.toml",
    "rules/exploitation.toml",
    "rules/family.toml",
    "rules/front-door.toml",
    "rules/growing-up.toml",
    "rules/mental-health.toml",
    "rules/missing.toml",
    "rules/neglect.toml",
    "rules/position-of-trust.toml",
    "rules/self-harm.toml",
    "rules/serious-incident.toml",
    "rules/sexual-abuse.toml",
    "rules/unborn.toml",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FILES;

    #[test]
    fn every_file_of_the_book_is_built_in() {
        let files_in = |folder: &str| -> BTreeSet<String> {
            let path = format!("{}/rules/cheshire-east/{folder}", env!("CARGO_MANIFEST_DIR"));
            let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.ends_with(".toml")).map(|name| format!("{folder}{name}")).collect()
        };
        let in_folder: BTreeSet<String> = files_in("").union(&files_in("rules/")).cloned().collect();
        let built_in: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(built_in, in_folder);
    }
}
