//! Reads Rust sources for the tidy test: code without comments and strings, functions and their lengths, imports.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One source file, as written and with comments and strings blanked out.
pub struct Source {
    /// Path from the top of the repository, with `/`.
    pub name: String,
    pub text: String,
    /// As long as `text` in lines; comments, strings and characters are spaces.
    pub code: String,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    /// 1 is the first.
    pub line: usize,
    pub lines: usize,
}

impl Source {
    pub fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let code = code_only(&text);
        Self { name, text, code }
    }

    /// The top-level module a file of `src/` belongs to: `engine` of `src/engine/step.rs`.
    pub fn module(&self) -> &str {
        let path = self.name.strip_prefix("src/").unwrap_or(&self.name);
        path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
    }

    pub fn numbered_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Line and first segment of every path that starts at the crate: `use crate::{engine::x, broker};` gives both.
    pub fn crate_imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for root in ["crate::", "pathway_router::"] {
            for (start, _) in self.code.match_indices(root) {
                let line = self.code[..start].matches('\n').count() + 1;
                let rest = &self.code[start + root.len()..];
                if rest.starts_with('{') {
                    found.extend(group(rest).into_iter().map(|name| (line, name)));
                } else {
                    found.push((line, identifier(rest)));
                }
            }
        }
        found
    }
}

impl Source {
    /// Line and name wherever a field or variable that this file declares as a `HashMap` or `HashSet` is gone through.
    pub fn hash_maps_gone_through(&self) -> Vec<(usize, String)> {
        const THROUGH: [&str; 10] = [
            ".iter()",
            ".iter_mut()",
            ".keys()",
            ".values()",
            ".values_mut()",
            ".into_iter()",
            ".into_keys()",
            ".into_values()",
            ".drain()",
            ".retain(",
        ];
        let mut found = Vec::new();
        for name in hash_maps(&self.code) {
            for (start, _) in self.code.match_indices(&name) {
                let (before, after) = (&self.code[..start], &self.code[start + name.len()..]);
                if before.ends_with(is_part) || after.starts_with(is_part) {
                    continue;
                }
                let after: String = after.trim_start().chars().take(20).collect();
                // What stands before `self.held` is what stands before `self`.
                let before = before.trim_end_matches(|c: char| is_part(c) || c == '.');
                let before = before.trim_end_matches("&mut ").trim_end_matches('&').trim_end();
                let is_looped = before.ends_with(" in") && after.starts_with('{');
                if is_looped || THROUGH.iter().any(|method| after.starts_with(method)) {
                    found.push((self.code[..start].matches('\n').count() + 1, name.clone()));
                }
            }
        }
        found.sort();
        found
    }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Fields, parameters and variables declared as maps or sets without an order.
fn hash_maps(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("use ")) {
        for kind in ["HashMap", "HashSet"] {
            for (start, _) in line.match_indices(kind) {
                let before = &line[..start];
                let declared = match (before.split_once("let "), before.rfind(": ")) {
                    (Some((_, declared)), _) => declared.split_once('=').map_or(declared, |(names, _)| names),
                    (None, Some(colon)) => before[..colon].rsplit(|c| !is_part(c)).next().unwrap_or_default(),
                    (None, None) => continue,
                };
                let words = declared.split(|c| !is_part(c)).filter(|word| !word.is_empty() && *word != "mut");
                names.extend(words.map(str::to_owned));
            }
        }
    }
    names
}

/// The first identifiers of a `{a::b, c, d::{e, f}}` group.
fn group(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut at_start) = (0, Vec::new(), false);
    for (index, c) in text.char_indices() {
        match c {
            '{' => {
                depth += 1;
                at_start = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            _ if at_start && !c.is_whitespace() => {
                names.push(identifier(&text[index..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Every function that has a body, by the braces that enclose it.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        if code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name = identifier(code[start + 3..].trim_start());
        let Some(length) = body_end(&code[start..]) else { continue };
        if !name.is_empty() {
            let line = code[..start].matches('\n').count() + 1;
            found.push(Function { name, line, lines: code[start..start + length].matches('\n').count() + 1 });
        }
    }
    found
}

/// Bytes from a function's start to its closing brace; None for one without a body.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (index, c) in code.char_indices() {
        match c {
            '(' | '[' if braces == 0 => brackets += 1,
            ')' | ']' if braces == 0 => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// `text` with comments, strings and character literals replaced by spaces; lines stay where they are.
pub fn code_only(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = token_end(&characters, at);
        match end {
            Some(end) => {
                code.extend(characters[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                code.push(characters[at]);
                at += 1;
            }
        }
    }
    code
}

/// Where the comment, string or character that starts at `at` ends; None if none starts there.
fn token_end(characters: &[char], at: usize) -> Option<usize> {
    let next = |offset: usize| characters.get(at + offset).copied();
    let after_word = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
    match characters[at] {
        '/' if next(1) == Some('/') => Some(find(characters, at, |rest| rest[0] == '\n')),
        '/' if next(1) == Some('*') => Some(block_comment_end(characters, at)),
        '"' => Some(quoted_end(characters, at + 1)),
        'r' if !after_word || at > 0 && characters[at - 1] == 'b' => raw_string_end(characters, at),
        '\'' if next(1) == Some('\\') => Some(find(characters, at + 3, |rest| rest[0] == '\'') + 1),
        '\'' if next(2) == Some('\'') => Some(at + 3),
        _ => None,
    }
}

fn find(characters: &[char], from: usize, is_it: impl Fn(&[char]) -> bool) -> usize {
    (from..characters.len()).find(|index| is_it(&characters[*index..])).unwrap_or(characters.len())
}

fn block_comment_end(characters: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < characters.len() {
        if characters[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if characters[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted_end(characters: &[char], start: usize) -> usize {
    let mut at = start;
    while at < characters.len() {
        match characters[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

fn raw_string_end(characters: &[char], start: usize) -> Option<usize> {
    let hashes = characters[start + 1..].iter().take_while(|c| **c == '#').count();
    if characters.get(start + 1 + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    Some((find(characters, start + 2 + hashes, |rest| rest.starts_with(&close)) + close.len()).min(characters.len()))
}
