//! `residentctl`
fn main() {}
