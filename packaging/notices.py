#!/usr/bin/env python3
"""Writes what a package says of its licences.

    notices.py copyright FILE    Debian's machine-readable copyright file, with every crate that is linked in
    notices.py texts FILE        the licence texts of those crates, each text once, with the crates it belongs to

The crates are those of all processors we build for. Needs cargo and the crates' sources, which a build has fetched.
"""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "yocto"))
import crates  # noqa: E402


def linked():
    """The crates of others, by name and version."""
    return sorted((p for p in crates.linked() if p["source"]), key=lambda p: (p["name"], p["version"]))


def chosen(package):
    """The licences we take of what the crate offers."""
    return " and ".join(sorted(crates.taken(package["license"], package["name"]) | crates.BUNDLED.get(package["name"], set())))


def copyright_file():
    """The copyright file in Debian's format."""
    own = (crates.TOP / "LICENSE").read_text().split("\n\n", 2)
    text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: residentd\n"
    text += "Source: https://example.org/residentd\n"
    text += "Comment: The programs hold the crates named below, each with its licence; the texts of all of them are in\n"
    text += " /usr/share/doc/residentd/licences-of-crates.txt.gz. GStreamer is not in the programs: they load it from the system.\n\n"
    text += f"Files: *\nCopyright: {own[1].removeprefix('Copyright (c) ')}\nLicense: MIT\n"
    groups = collections.defaultdict(list)
    for package in linked():
        groups[chosen(package)].append(package)
    for licence, packages in sorted(groups.items()):
        if licence == "MIT":
            continue
        text += "\nFiles: " + "\n ".join(f"crates/{p['name']}-{p['version']}/*" for p in packages)
        text += f"\nCopyright: the authors of each crate\nLicense: {licence}\n"
    text += "\nFiles: " + "\n ".join(f"crates/{p['name']}-{p['version']}/*" for p in groups["MIT"])
    text += "\nCopyright: the authors of each crate\nLicense: MIT\n"
    body = "\n\n".join(own[2:]).strip()
    text += "\nLicense: MIT\n" + "\n".join(f" {line}" if line else " ." for line in body.splitlines()) + "\n"
    for licence in sorted(groups):
        if licence != "MIT":
            text += f"\nLicense: {licence}\n The text is in /usr/share/doc/residentd/licences-of-crates.txt.gz.\n"
            if "Apache-2.0" in licence:
                text += " .\n That of the Apache License 2.0 is also in /usr/share/common-licenses/Apache-2.0.\n"
    return text


def texts():
    """Every licence text of the crates, once."""
    known = collections.defaultdict(list)
    for package in linked():
        folder = pathlib.Path(package["manifest_path"]).parent
        found = [f for f in sorted(folder.iterdir()) if f.is_file() and f.name.upper().startswith(("LICEN", "COPYING", "NOTICE", "UNLICENSE"))]
        if not found:
            known[f"(The crate brings no text along. It is under {package['license']}.)"].append(package)
        for file in found:
            known[file.read_text(errors="replace").strip()].append(package)
    result = "Licence texts of the crates that are linked into residentd and residentctl.\n"
    for text, packages in sorted(known.items(), key=lambda item: (-len(item[1]), item[1][0]["name"], item[0])):
        result += "\n" + "=" * 100 + "\n" + ", ".join(dict.fromkeys(f"{p['name']} {p['version']}" for p in packages)) + "\n\n" + text + "\n"
    return result


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("copyright", "texts"):
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(copyright_file() if sys.argv[1] == "copyright" else texts())
