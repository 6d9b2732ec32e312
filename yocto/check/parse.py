"""Parses the layer with BitBake's own library (bitbake-setup from PyPI) and stand-ins for OpenEmbedded-Core's classes.

    parse.py LAYER STAND-INS [EXAMPLE-LAYER…]

What it finds: syntax that BitBake refuses, functions that are no Python or shell, files that a recipe wants and the layer has
not, packages without a licence, crates without a checksum, and by running each do_install: files that no package takes, packages of
the recipe that get none. Prints a line a recipe.
"""

import glob
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

import bitbake_setup

sys.path.insert(0, str(pathlib.Path(bitbake_setup.__file__).parent.parent))
# servers that BitBake only talks to in a real build
for name in ("hashserv", "hashserv.client", "prserv"):
    sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules[name].__path__ = []
import bb  # noqa: E402
import bb.codeparser  # noqa: E402
import bb.data_smart  # noqa: E402
import bb.fetch2  # noqa: E402
import bb.parse  # noqa: E402

LAYER, STANDINS, *EXAMPLES = (os.path.abspath(path) for path in sys.argv[1:])
# the packages that OpenEmbedded-Core gives every recipe
USUAL = {"-src", "-dbg", "-staticdev", "-dev", "-doc", "-locale"}
# what the recipes ask of OpenEmbedded-Core's own library
oe = types.SimpleNamespace(buildcfg=types.SimpleNamespace(get_metadata_git_revision=lambda path: "0" * 40))


def surroundings(top, layer):
    """The variables before a recipe is parsed."""
    d = bb.data_smart.DataSmart()
    d.setVar("BBPATH", f"{STANDINS}:{LAYER}")
    d.setVar("TOPDIR", top)
    d.setVar("PATH", os.environ["PATH"])
    d.setVar("HOME", top)
    d.setVar("BB_NO_NETWORK", "1")
    d.setVar("__bbclasstype", "global")
    d.setVar("LAYERDIR", layer)
    d.setVar("LAYERDIR_RE", layer)
    d = bb.parse.handle("conf/bitbake.conf", d)
    d = bb.parse.handle(os.path.join(layer, "conf/layer.conf"), d)
    d.setVar("LAYERDIR", LAYER)
    d = bb.parse.handle(os.path.join(LAYER, "conf/layer.conf"), d)
    return d


def functions(d):
    """Every function through BitBake's parser of Python or of shell."""
    for key in d.keys():
        text = d.getVar(key) if d.getVarFlag(key, "func", False) and not d.getVarFlag(key, "python", False) else None
        if text:
            bb.codeparser.ShellParser(key, bb.data_smart.logger).parse_shell(text)
        elif d.getVarFlag(key, "func", False) and d.getVar(key, False):
            bb.codeparser.PythonParser(key, bb.data_smart.logger).parse_python(d.getVar(key, False))


def packages(d):
    """What each package gets of what is in D, as OpenEmbedded-Core's package class deals it out, and what no package gets."""
    root = d.getVar("D")
    left = {os.path.join(at, name) for at, folders, files in os.walk(root) for name in files + [f for f in folders if not os.listdir(os.path.join(at, f))]}
    dealt = {}
    for package in d.getVar("PACKAGES").split():
        taken = set()
        for pattern in (d.getVar("FILES:" + package) or "").split():
            for found in glob.glob(root + pattern):
                taken |= {path for path in left if path == found or path.startswith(found + "/")}
        dealt[package] = taken
        left -= taken
    return dealt, {path.removeprefix(root) for path in left}


def install(d, places, files):
    """Runs do_install on the sources of this repository; the complaints, and a few words on what is in the packages."""
    for file in files:
        source = next((p for p in (os.path.join(place, file) for place in places) if os.path.exists(p)), None)
        if source:
            shutil.copy(source, d.getVar("UNPACKDIR"))
    if "git://" in (d.getVar("SRC_URI") or ""):
        d.setVar("S", os.path.dirname(os.path.dirname(LAYER)))
    script = io.StringIO()
    bb.data.emit_func("do_install", script, d)
    done = subprocess.run(["sh", "-e", "-c", script.getvalue() + "\ndo_install\n"], capture_output=True, text=True)
    if done.returncode:
        return [f"do_install ends with {done.returncode}: {done.stderr.strip()}"], ""
    dealt, left = packages(d)
    complaints = [f"no package takes {path}" for path in sorted(left)]
    # those that every recipe has may be empty; its own may not
    own = [p for p in dealt if p.removeprefix(d.getVar("PN")) not in USUAL]
    complaints += [f"the package {package} gets nothing" for package in own if not dealt[package]]
    return complaints, ", ".join(f"{package} {len(taken)} files" for package, taken in dealt.items() if taken)


def secrets(d, top):
    """A folder of credentials, as the example takes them at build time."""
    folder = os.path.join(top, "secrets")
    os.makedirs(folder)
    pathlib.Path(folder, "chatta-password").write_text("password")
    d.setVar("RESIDENTD_CREDENTIALS", folder)


def public(d):
    """Files with a credential's name that others than root could read."""
    kept = pathlib.Path(d.getVar("D")).rglob("chatta-*")
    return [f"{path} can be read by others" for path in kept if path.stat().st_mode & 0o077]


def check(recipe, layer, appends=(), bare=True):
    """The complaints about one recipe; not `bare`: with a credential in the image."""
    with tempfile.TemporaryDirectory() as top:
        d = surroundings(top, layer)
        if not bare:
            secrets(d, top)
        d.setVar("__bbclasstype", "recipe")
        d.setVar("__BBAPPEND", " ".join(appends))
        bb.parse.init_parser(d)
        d = bb.parse.handle(recipe, d)
        d = d.get("", d) if isinstance(d, dict) else d
        complaints = []
        if not d.getVar("LICENSE") and "packagegroup" not in recipe:
            complaints.append("no LICENSE")
        uris = (d.getVar("SRC_URI") or "").split()
        folder = os.path.dirname(recipe)
        places = [os.path.join(folder, "files"), os.path.join(folder, d.getVar("PN"))]
        places += (d.getVar("FILESEXTRAPATHS") or "").split(":")
        for uri in uris:
            kind, _, rest = uri.partition("://")
            if kind == "file" and not any(os.path.exists(os.path.join(place, rest.split(";")[0])) for place in places):
                complaints.append(f"{uri} is not there")
            if kind == "crate":
                name = "-".join(rest.split("/")[1:3])
                if len(d.getVarFlag("SRC_URI", f"{name}.sha256sum") or "") != 64:
                    complaints.append(f"{uri} has no checksum")
        functions(d)
        said = ""
        if d.getVarFlag("do_install", "func", False) and uris:
            os.makedirs(d.getVar("UNPACKDIR"))
            os.makedirs(d.getVar("D"))
            files = [uri.removeprefix("file://").split(";")[0] for uri in uris if uri.startswith("file://")]
            found, said = install(d, places, files)
            complaints += found + public(d)
            if bare == any(pathlib.Path(d.getVar("D")).rglob("chatta-*")):
                complaints.append("a credential is in the image" if bare else "the credential is not in the image")
        print(f"{os.path.relpath(recipe, LAYER)}{' with the example' if appends else ''}{'' if bare else ' and a credential'}: {d.getVar('PN')} {d.getVar('PV')}, {len(uris)} sources, {d.getVar('LICENSE')}{said and '; ' + said}")
        return complaints


def main():
    bb.utils._context = {**bb.utils.get_context(), "oe": oe}
    recipes = sorted(glob.glob(LAYER + "/**/*.bb", recursive=True))
    failed = 0
    for recipe in recipes:
        name = os.path.basename(recipe).split("_")[0]
        found = [a for e in EXAMPLES for a in glob.glob(e + "/recipes-*/*/*.bbappend")]
        appends = [a for a in found if os.path.basename(a).split("_")[0] == name]
        for layer, more, bare in [(LAYER, [], True)] + ([(EXAMPLES[0], appends, True), (EXAMPLES[0], appends, False)] if appends else []):
            for complaint in check(recipe, layer, more, bare):
                print(f"  {recipe}: {complaint}")
                failed = 1
    return failed


sys.exit(main())
