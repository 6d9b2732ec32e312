//! residentd-lab: the care platform in a box, for demonstration and tests of residentd.
