SUMMARY = "The resident's end of a video call on a television set-top box"
DESCRIPTION = "A daemon that keeps the box reachable, rings the television when \
somebody calls, connects camera, microphone, picture and sound, tells the \
caller what happened, and puts the television back as it was."
HOMEPAGE = "https://example.org/residentd"
BUGTRACKER = "https://example.org/residentd/issues"
SECTION = "multimedia"
CVE_PRODUCT = "residentd"
# The project is MIT; the rest is what is linked into the binary: its crates and, by rusqlite, SQLite ("blessing").
# yocto/crates.py writes this line from the crates' own words, and checks it.
LICENSE = "MIT & Apache-2.0 & BSD-2-Clause & BSD-3-Clause & ISC & Unicode-3.0 & Zlib & blessing"
LIC_FILES_CHKSUM = "file://LICENSE;md5=54cae17f4f6acc6be05179c3c3ce002f"

inherit cargo cargo-update-recipe-crates features_check pkgconfig systemd useradd

require residentd-crates.inc

# The revision that this layer is part of, without asking the network. A product that keeps the layer apart from the sources
# sets both in a bbappend or in its distro configuration.
RESIDENTD_GIT ?= "git://${RESIDENTD_LAYERDIR}/../..;protocol=file;nobranch=1"
SRC_URI += "${RESIDENTD_GIT};destsuffix=${BP}"
SRCREV ?= "${@oe.buildcfg.get_metadata_git_revision(d.getVar('RESIDENTD_LAYERDIR'))}"

# clang: the crate v4l makes its bindings from the kernel's headers while compiling
DEPENDS += "alsa-lib clang-native gstreamer1.0 gstreamer1.0-plugins-base"

REQUIRED_DISTRO_FEATURES = "alsa systemd"

# GStreamer's plugins by what the box can do. They are recommendations: a box without a camera calls with sound alone.
PACKAGECONFIG ??= "camera kms sound test-sources vp8 v4l2-codecs"
PACKAGECONFIG[camera] = ",,,,gstreamer1.0-plugins-good-video4linux2 gstreamer1.0-plugins-good-jpeg"
PACKAGECONFIG[kms] = ",,,,gstreamer1.0-plugins-bad-kms"
PACKAGECONFIG[sound] = ",,,,gstreamer1.0-plugins-base-alsa"
PACKAGECONFIG[vp8] = ",,,,gstreamer1.0-plugins-good-vpx"
# H.264 in hardware behind V4L2's stateful interface: Raspberry Pi 3 and 4, Amlogic, i.MX 8
PACKAGECONFIG[v4l2-codecs] = ",,,,gstreamer1.0-plugins-good-video4linux2 gstreamer1.0-plugins-bad-videoparsersbad"
# H.264 in software, BSD licence; mind the patents where you sell
PACKAGECONFIG[openh264] = ",,,,gstreamer1.0-plugins-bad-openh264 gstreamer1.0-plugins-bad-videoparsersbad"
# the picture and tone of `residentctl test call`, the bars of `residentctl test screen`, and a box without devices
PACKAGECONFIG[test-sources] = ",,,,gstreamer1.0-plugins-base-audiotestsrc gstreamer1.0-plugins-base-videotestsrc"

export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "--target=${TARGET_SYS} --sysroot=${STAGING_DIR_TARGET}"
# the package class splits the debug symbols off: the profile must not strip
export CARGO_PROFILE_RELEASE_STRIP = "none"
# what the state on disk does not use of SQLite, as cross/cargo.sh says
export LIBSQLITE3_FLAGS = "-USQLITE_ENABLE_FTS3 -USQLITE_ENABLE_FTS3_PARENTHESIS -USQLITE_ENABLE_FTS5 -USQLITE_ENABLE_RTREE -USQLITE_ENABLE_DBSTAT_VTAB"
# one program with two names, see do_install
CARGO_BUILD_FLAGS += "--bin residentd"

USERADD_PACKAGES = "${PN}"
# Fixed, so that what the data partition holds still belongs to the daemon after an update of the root file system.
RESIDENTD_UID ?= "967"
RESIDENTD_GID ?= "967"
GROUPADD_PARAM:${PN} = "--system --gid ${RESIDENTD_GID} residentd; --system render"
USERADD_PARAM:${PN} = "--system --uid ${RESIDENTD_UID} --gid residentd --groups audio,input,render,video \
    --no-create-home --home-dir ${localstatedir}/lib/residentd --shell /sbin/nologin residentd"

SYSTEMD_SERVICE:${PN} = "residentd.service"

do_install:append() {
    # users come with the image, not from sysusers at boot: /etc may be read-only
    DESTDIR=${D} PREFIX=${prefix} SYSCONFDIR=${sysconfdir} UNITDIR=${systemd_system_unitdir} \
        UDEVDIR=${nonarch_base_libdir}/udev WITHOUT="binaries sysusers" ${S}/packaging/install.sh
    ln -sf residentd ${D}${bindir}/residentctl
    # where a data partition may be mounted on a read-only root
    install -d -m 0700 ${D}${sysconfdir}/credstore.encrypted
    install -d -m 0700 ${D}${localstatedir}/lib/residentd
}

PACKAGES =+ "${PN}-ctl"
FILES:${PN}-ctl = "${bindir}/residentctl ${datadir}/bash-completion ${datadir}/zsh ${datadir}/fish"
FILES:${PN} += "\
    ${localstatedir}/lib/residentd \
    ${nonarch_base_libdir}/udev \
    ${nonarch_libdir}/residentd \
    ${nonarch_libdir}/systemd \
    ${nonarch_libdir}/tmpfiles.d \
    ${systemd_system_unitdir} \
"

CONFFILES:${PN} = "${sysconfdir}/residentd/config.toml"

RDEPENDS:${PN} += "ca-certificates"
RDEPENDS:${PN}-ctl += "${PN}"
# the letters on the television, the certificates, and what every call needs
RRECOMMENDS:${PN} += "\
    ${PN}-ctl \
    gstreamer1.0-plugins-base-app \
    gstreamer1.0-plugins-base-audioconvert \
    gstreamer1.0-plugins-base-audioresample \
    gstreamer1.0-plugins-base-opus \
    gstreamer1.0-plugins-base-videoconvertscale \
    gstreamer1.0-plugins-base-videorate \
    gstreamer1.0-plugins-good-rtp \
    gstreamer1.0-plugins-good-rtpmanager \
    ttf-dejavu-sans \
    tzdata-core \
"
