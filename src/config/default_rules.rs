//! The default rule book, built into the binary so that it works alone.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../rules/cheshire-east/", $name)))),+]
    };
}

/// File name and text of each file of `rules/cheshire-east`, its scenarios aside.
pub const FILES: &[(&str, &str)] =
    files!["agencies.toml", "bases.toml", "book.toml", "calendar.toml", "facts.toml", "rules.toml"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FILES;

    #[test]
    fn every_file_of_the_book_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/cheshire-east");
        let in_folder: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".toml"))
            .collect();
        let built_in: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(built_in, in_folder);
    }
}
