SUMMARY = "Set-top box image with residentd"
DESCRIPTION = "A read-only root file system with systemd, GStreamer and \
residentd. What must outlive an update lies in a data partition."
LICENSE = "MIT"

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "alsa systemd"

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_INSTALL:append = " packagegroup-residentd residentd-data"

# Two equal root slots and the data partition: files/wic. The board's kas file names its own.
WKS_FILE ??= "residentd-slots.wks"
