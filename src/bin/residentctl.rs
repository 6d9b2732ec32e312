//! `residentctl`: the technician's command; see [`residentd::ctl`]. Packages have a link to `residentd` in its place, which
//! does this under that name.

fn main() -> std::process::ExitCode {
    residentd::ctl::main()
}
