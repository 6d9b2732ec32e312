SUMMARY = "Everything a set-top box needs to be called"
DESCRIPTION = "The daemon, the technician's command, sound controls, and the \
tools that a technician asks for when a camera or the television is silent."

inherit packagegroup

RDEPENDS:${PN} = "\
    alsa-utils-amixer \
    residentd \
    residentd-ctl \
"
RRECOMMENDS:${PN} = "\
    alsa-utils-aplay \
    kernel-modules \
    residentd-data \
    tzdata \
"
