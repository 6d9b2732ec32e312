//! The program's own files, for tests that look at what stands in them.

use std::path::{Path, PathBuf};

/// Every file and what it says, without its tests.
pub fn without_tests() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    files
}

fn read(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            if name != "tests" {
                read(&path, files);
            }
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path, program(&text).to_owned()));
        }
    }
}

/// What stands before the module of tests at the end of a file.
fn program(text: &str) -> &str {
    let is_module = |rest: &str| rest.lines().nth(1).is_some_and(|line| line.contains("mod ") && line.ends_with('{'));
    let end = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(|at| is_module(&text[*at..]));
    &text[..end.unwrap_or(text.len())]
}
