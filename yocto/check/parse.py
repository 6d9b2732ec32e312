"""Parses the layer with BitBake's own library (bitbake-setup from PyPI) and stand-ins for OpenEmbedded-Core's classes.

    parse.py LAYER STAND-INS [EXAMPLE-LAYER…]

What it finds: syntax that BitBake refuses, functions that are no Python or shell, files that a recipe wants and the layer has
not, packages without a licence, crates without a checksum. Prints a line a recipe.
"""

import glob
import os
import pathlib
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


def check(recipe, layer, appends=()):
    """The complaints about one recipe."""
    with tempfile.TemporaryDirectory() as top:
        d = surroundings(top, layer)
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
        print(f"{os.path.relpath(recipe, LAYER)}{' with the example' if appends else ''}: {d.getVar('PN')} {d.getVar('PV')}, {len(uris)} sources, {d.getVar('LICENSE')}")
        return complaints


def main():
    bb.utils._context = {**bb.utils.get_context(), "oe": oe}
    recipes = sorted(glob.glob(LAYER + "/**/*.bb", recursive=True))
    failed = 0
    for recipe in recipes:
        name = os.path.basename(recipe).split("_")[0]
        found = [a for e in EXAMPLES for a in glob.glob(e + "/recipes-*/*/*.bbappend")]
        appends = [a for a in found if os.path.basename(a).split("_")[0] == name]
        for layer, more in [(LAYER, [])] + ([(EXAMPLES[0], appends)] if appends else []):
            for complaint in check(recipe, layer, more):
                print(f"  {recipe}: {complaint}")
                failed = 1
    return failed


sys.exit(main())
