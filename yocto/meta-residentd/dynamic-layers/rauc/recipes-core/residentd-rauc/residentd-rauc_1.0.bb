SUMMARY = "Updates that wait for the end of a call"
DESCRIPTION = "RAUC's handler that lets no update begin during a call, and a \
condition for marking a slot good: the daemon runs and its configuration is right."
HOMEPAGE = "https://example.org/residentd"
SECTION = "base"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COREBASE}/meta/COPYING.MIT;md5=3da9cfbcb788c80a0384361b4de20420"

inherit allarch features_check

SRC_URI = "\
    file://pre-install \
    file://rauc-mark-good.conf \
"
# scarthgap unpacks into WORKDIR itself
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

REQUIRED_DISTRO_FEATURES = "systemd"

do_install() {
    install -D -m 0755 ${S}/pre-install ${D}${nonarch_libdir}/residentd/rauc/pre-install
    install -D -m 0644 ${S}/rauc-mark-good.conf ${D}${systemd_system_unitdir}/rauc-mark-good.service.d/residentd.conf
}

FILES:${PN} += "${nonarch_libdir}/residentd ${systemd_system_unitdir}"

RDEPENDS:${PN} = "rauc residentd-ctl"
