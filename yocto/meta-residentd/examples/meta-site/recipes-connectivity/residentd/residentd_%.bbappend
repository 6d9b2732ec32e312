# For an image of one box, or a trial: a folder outside every layer and repository that holds the file chatta-password. Whoever has the image,
# the package or the build's cache has the password. Empty: no credential goes into the image. The user name belongs into vendor.toml.
RESIDENTD_CREDENTIALS ?= ""

FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
FILESEXTRAPATHS:prepend := "${@(d.getVar('RESIDENTD_CREDENTIALS') or '') and d.getVar('RESIDENTD_CREDENTIALS') + ':'}"

# What every box of this product has in common. A box's own settings go into /etc/residentd/config.d on its data partition and win.
SRC_URI += "file://vendor.toml"
SRC_URI += "${@'file://chatta-password' if d.getVar('RESIDENTD_CREDENTIALS') else ''}"

do_install:append() {
    install -D -m 0644 ${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/vendor.toml ${D}${nonarch_libdir}/residentd/residentd.toml
    if [ -n "${RESIDENTD_CREDENTIALS}" ]; then
        install -D -m 0600 ${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/chatta-password \
            ${D}${nonarch_libdir}/residentd/credentials/chatta-password
        chmod 0700 ${D}${nonarch_libdir}/residentd/credentials
        # The folder that the unit loads is mounted from the data partition: copied at boot, unless there is one already.
        install -d ${D}${nonarch_libdir}/tmpfiles.d
        echo "C ${sysconfdir}/residentd/credentials/chatta-password 0600 root root - ${nonarch_libdir}/residentd/credentials/chatta-password" \
            > ${D}${nonarch_libdir}/tmpfiles.d/residentd-site.conf
    fi
}

# No credential belongs into an image for many: all boxes would share it, and everybody with the image has it. A box gets its own by
# `residentctl provision` once, or sealed for its TPM or key in the factory:
#
#   systemd-creds encrypt --name=chatta-password - /etc/credstore.encrypted/chatta-password
#
# Both places lie on the data partition (residentd-data).
