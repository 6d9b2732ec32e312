FILESEXTRAPATHS:prepend := "${THISDIR}/files:"

# What every box of this product has in common. A box's own settings go into /etc/residentd/config.d on its data partition and win.
SRC_URI += "file://vendor.toml"

do_install:append() {
    install -D -m 0644 ${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/vendor.toml ${D}${nonarch_libdir}/residentd/residentd.toml
}

# No credential belongs into an image: all boxes would share it, and everybody with the image has it. A box gets its own by
# `residentctl provision` once, or sealed for its TPM or key in the factory:
#
#   systemd-creds encrypt --name=chatta-password - /etc/credstore.encrypted/chatta-password
#
# Both places lie on the data partition (residentd-data).
