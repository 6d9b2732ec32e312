#!/bin/sh
# config.sh: prints /etc/residentd/config.toml with every setting commented out at its default, from the table in docs/configuration.md.
# From the page and not from the program, because a cross build cannot run what it has built.
set -eu
cat << 'TOP'
# Settings of residentd. Every one stands here with its default, commented out: only what differs needs a line.
# Files in /etc/residentd/config.d are read after this one, in order of name. `residentd --check-config` tells every mistake of all of
# them at once, `residentd --show-config` the values in force and where each came from.
#
# Passwords and tokens do not belong here: `residentctl provision` asks for them.
TOP
# shellcheck disable=SC2016 # the backquotes are Markdown's
sed -n 's/^| `\([a-z0-9_.]*\)` | \(.*\) | `\(.*\)` | \(.*\) |$/\1\t\2\t\3\t\4/p' "$(dirname "$0")/../docs/configuration.md" | sed 's/\\|/|/g' |
    awk -F '\t' '{
        # a table may be opened once only, in whatever order the page names its settings
        table = $1; sub(/\.[^.]*$/, "", table)
        key = $1; sub(/.*\./, "", key)
        if (!(table in text)) order[++tables] = table
        text[table] = text[table] sprintf("\n# %s\n# Allowed: %s.\n#%s = %s\n", $4, $2, key, $3)
    }
    END { for (i = 1; i <= tables; i++) printf "\n[%s]\n%s", order[i], text[order[i]] }'
