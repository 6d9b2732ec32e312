#!/usr/bin/env python3
"""Compares Cross.toml and the Dockerfile with each other and with targets.sh.

What it finds: a processor that one of them does not know or knows otherwise, a Dockerfile that is not there, an argument that the
Dockerfile does not have.
"""

import pathlib
import re
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
# the processor's own compilers are no business of the container
known = {m[1]: {"DEB_ARCH": m[3], "GNU": m[2]} for m in re.finditer(r"triple=(\S+) gnu=(\S+) deb=(\S+) qemu=qemu", (HERE / "targets.sh").read_text())}
targets = tomllib.loads((HERE / "Cross.toml").read_text())["target"]
wrong = [f"Cross.toml and targets.sh: {sorted(targets)}, {sorted(known)}"] if targets.keys() != known.keys() else []
for triple, target in targets.items():
    container = target["dockerfile"]
    file = HERE.parent / container["file"]
    if not file.is_file():
        wrong.append(f"{triple}: there is no {container['file']}")
        continue
    if container["build-args"] != known.get(triple):
        wrong.append(f"{triple}: {container['build-args']}, and targets.sh says {known.get(triple)}")
    wrong += [f"{triple}: the Dockerfile has no argument {name}" for name in container["build-args"].keys() - set(re.findall(r"^ARG (\w+)", file.read_text(), re.M))]
    linker = f"CARGO_TARGET_{triple.upper().replace('-', '_')}_LINKER={container['build-args'].get('GNU')}-gcc"
    if linker not in file.read_text():
        wrong.append(f"{triple}: the Dockerfile does not say {linker}")
print("\n".join(wrong) or f"{len(targets)} processors in Cross.toml and the Dockerfile")
sys.exit(bool(wrong))
