//! `residentd`
fn main() {}
