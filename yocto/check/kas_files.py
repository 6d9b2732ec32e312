"""Checks kas files against kas's own schema, that what they include is there, and that each repository has a branch.

kas_files.py FOLDER
"""

import pathlib
import sys

import jsonschema
import kas.configschema
import yaml

failed = 0
files = sorted(pathlib.Path(sys.argv[1]).glob("*.yml"))
for path in files:
    content = yaml.safe_load(path.read_text())
    try:
        jsonschema.validate(content, kas.configschema.CONFIGSCHEMA)
    except jsonschema.ValidationError as error:
        print(f"{path}: {error.message}")
        failed = 1
    for include in content["header"].get("includes", []):
        if not (path.parent / include).exists():
            print(f"{path}: includes {include}, which is not there")
            failed = 1
    for name, repository in content.get("repos", {}).items():
        if repository.get("url") and not repository.get("branch"):
            print(f"{path}: {name} has no branch")
            failed = 1
print(f"{len(files)} files, {'with' if failed else 'without'} complaints")
sys.exit(failed)
