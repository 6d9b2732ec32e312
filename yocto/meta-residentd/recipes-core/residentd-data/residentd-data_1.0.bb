SUMMARY = "residentd's state on a data partition"
DESCRIPTION = "Mounts the partition labelled data, and from it what residentd \
keeps: its state, the credentials of the box, and the technician's settings."
HOMEPAGE = "https://example.org/residentd"
SECTION = "base"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COREBASE}/meta/COPYING.MIT;md5=3da9cfbcb788c80a0384361b4de20420"

inherit allarch features_check systemd

SRC_URI = "\
    file://data.mount \
    file://etc-credstore.encrypted.mount \
    file://etc-residentd-config.d.mount \
    file://etc-residentd-credentials.mount \
    file://var-lib-residentd.mount \
"
# scarthgap unpacks into WORKDIR itself
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "\
    data.mount \
    etc-credstore.encrypted.mount \
    etc-residentd-config.d.mount \
    etc-residentd-credentials.mount \
    var-lib-residentd.mount \
"

do_install() {
    install -d ${D}${systemd_system_unitdir}
    install -m 0644 ${S}/*.mount ${D}${systemd_system_unitdir}/
    # the mount points, for the root file system is read-only
    install -d ${D}/data ${D}${sysconfdir}/residentd/config.d
    install -d -m 0700 ${D}${sysconfdir}/credstore.encrypted ${D}${sysconfdir}/residentd/credentials
}

FILES:${PN} += "/data ${sysconfdir} ${systemd_system_unitdir}"
