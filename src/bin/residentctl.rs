//! `residentctl`: the technician's command; see [`residentd::ctl`].

fn main() -> std::process::ExitCode {
    residentd::ctl::main()
}
