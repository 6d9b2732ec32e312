//! residentd-lab
fn main() {}
