# stands in for the class of that name: as if it had built the one program that the recipe asks for
cargo_do_install() {
    install -d ${D}${bindir}
    : > ${D}${bindir}/residentd
    chmod 0755 ${D}${bindir}/residentd
}
EXPORT_FUNCTIONS do_install
