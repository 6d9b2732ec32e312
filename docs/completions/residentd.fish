complete -c residentd -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentd -l set -d 'Set one value over all files, e.g. `--set call.ring=30`' -r
complete -c residentd -l check-config -d 'Check the configuration, print every mistake, and end'
complete -c residentd -l show-config -d 'Print the effective values and where each came from, and end'
complete -c residentd -l catalogue -d 'Print the journal\'s catalogue of messages, and end'
complete -c residentd -l reference -d 'Print the reference page of all settings, and end'
complete -c residentd -s h -l help -d 'Print help'
complete -c residentd -s V -l version -d 'Print version'
