//! A first start that ran out of room, or was killed, while it wrote: the next one is as if it had never been.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::running::{Router, new_folder};
use super::{Done, command, root};

/// `run` in a folder of its own.
fn start(home: &Path) -> Command {
    let mut command = command(&["run", "--bind", "127.0.0.1:0"]);
    command.current_dir(home);
    command
}

/// A command that can write no more than so many blocks of 512 bytes into any file, as on a disk without room.
pub fn cramped(blocks: u32, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_pathway-router")]).args(arguments);
    command.current_dir(home).stdin(Stdio::null()).env("NO_COLOR", "1").env_remove("RUST_LOG");
    command
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The whole of the default rule book lies there, and no more than that.
fn check_book(data: &Path) {
    let folder = data.join("rules/cheshire-east");
    let written = files(&folder);
    assert!(written.len() > 20, "{written:?}");
    for file in written {
        let name = file.strip_prefix(&folder).expect("a name");
        let text = fs::read_to_string(root().join("rules/cheshire-east").join(name)).unwrap_or_default();
        assert_eq!(fs::read_to_string(&file).expect("a file"), text, "{}", file.display());
    }
}

#[test]
fn a_first_start_without_room_leaves_nothing_half_written_and_the_next_one_has_every_rule() {
    for blocks in [0, 2, 8, 30] {
        let home = tempfile::tempdir().expect("a folder");
        let data = home.path().join("data");
        let refused: Done =
            cramped(blocks, home.path(), &["run", "--bind", "127.0.0.1:0"]).output().expect("it starts").into();
        assert!(refused.code != Some(0) && refused.err.contains("cannot be written"), "{blocks}: {}", refused.err);
        for file in files(&data) {
            let whole = fs::metadata(&file).expect("a file").len() > 0 && file.extension() != Some("part".as_ref());
            assert!(whole, "{blocks}: {}", file.display());
        }
        Router::start_by(start(home.path()), new_folder("127.0.0.1:0")).0.stop();
        check_book(&data);
    }
}

/// Wherever it is killed.
#[test]
fn a_first_start_that_is_killed_while_it_writes_is_followed_by_one_that_has_every_rule() {
    let home = tempfile::tempdir().expect("a folder");
    let data = home.path().join("data");
    for wait in 0..40 {
        let mut killed = start(home.path()).stderr(Stdio::null()).spawn().expect("the router starts");
        std::thread::sleep(Duration::from_millis(2 + 5 * wait));
        killed.kill().and_then(|()| killed.wait()).expect("it is killed");
        for file in files(&data).iter().filter(|file| file.extension() != Some("part".as_ref())) {
            let is_empty = fs::metadata(file).expect("a file").len() == 0;
            assert!(!is_empty || !file.extension().is_some_and(|it| it == "toml" || it == "key"), "{}", file.display());
        }
        if data.join("pathway.db").exists() {
            break;
        }
    }
    let has_file = data.join("pathway.db").exists();
    let mut next = command(if has_file { &["run"] } else { &["run", "--bind", "127.0.0.1:0"] });
    next.current_dir(home.path());
    Router::start_by(next, new_folder("127.0.0.1:0")).0.stop();
    check_book(&data);
    let left = files(&data).into_iter().find(|file| file.extension() == Some("part".as_ref()));
    assert_eq!(left, None, "nothing of the killed ones is left");
}

/// One that stands in nobody's rules would be judged by for ever, without a word.
#[test]
fn an_empty_file_of_a_rule_book_is_a_fault_and_no_start_goes_on_with_it() {
    let home = tempfile::tempdir().expect("a folder");
    let rules = home.path().join("rules/cheshire-east");
    let sound = new_folder("127.0.0.1:0");
    fs::create_dir(home.path().join("rules")).expect("a folder");
    fs::rename(sound.path().join("rules/cheshire-east"), &rules).expect("rules");
    fs::write(rules.join("rules/neglect.toml"), "\n").expect("a file");
    let expected = ["neglect.toml", "the file is empty", "put back what stood in it"];
    super::check(&["rules", "check", rules.to_str().expect("a path")], 1, &expected);
    let refused: Done = start(home.path()).output().expect("it starts").into();
    assert!(refused.code == Some(1) && expected.iter().all(|text| refused.err.contains(text)), "{}", refused.err);
}

#[test]
fn keygen_without_room_leaves_no_key_and_does_its_work_once_there_is_room() {
    let home = tempfile::tempdir().expect("a folder");
    let keys = home.path().join("keys");
    let failed: Done = cramped(0, home.path(), &["keygen"]).output().expect("it starts").into();
    assert!(failed.code == Some(1) && failed.err.contains("cannot be written"), "{}", failed.err);
    assert_eq!(files(&keys), Vec::<PathBuf>::new());
    // As an earlier release left it.
    fs::write(keys.join("subject.key"), "").expect("a file");
    let out = keys.to_str().expect("a path");
    super::check(&["keygen", "--out", out], 0, &["subject.key", "sealing.key"]);
    super::check(&["keygen", "--out", out], 2, &["never overwritten"]);
    assert!(files(&keys).iter().all(|file| fs::metadata(file).expect("a key").len() == 65), "{:?}", files(&keys));
}
