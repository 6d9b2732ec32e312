# nooelint: oelint.var.mandatoryvar.SRC_URI
SUMMARY = "Update bundle of residentd-image"
DESCRIPTION = "The root file system for the slot that is not running. Signed \
with the product's own key: RAUC_KEY_FILE and RAUC_CERT_FILE."
HOMEPAGE = "https://example.org/residentd"
LICENSE = "MIT"

inherit bundle

RAUC_BUNDLE_COMPATIBLE ?= "residentd ${MACHINE}"
RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "residentd-image"
RAUC_SLOT_rootfs[fstype] = "ext4"
