# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_residentctl_global_optspecs
    string join \n socket= json config= set= h/help V/version
end

function __fish_residentctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_residentctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_residentctl_using_subcommand
    set -l cmd (__fish_residentctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c residentctl -n "__fish_residentctl_needs_command" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_needs_command" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_needs_command" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_needs_command" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c residentctl -n "__fish_residentctl_needs_command" -s V -l version -d 'Print version'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "status" -d 'Everything a glance should tell: lines, television, devices, the call, versions'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "calls" -d 'The call log, newest first'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "events" -d 'Follow what happens, one event a line, until Ctrl-C'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "accept" -d 'Answer the ringing call'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "decline" -d 'Decline the ringing call'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "end" -d 'Hang up'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "mute" -d 'Switch the microphone off or on'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "key" -d 'Press a key of the remote control, e.g. `ok` (only where `api.keys` is set)'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "statistics" -d 'The running call\'s figures'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "config" -d 'The configuration'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "log-level" -d 'How much is logged: show it, or change it until the next restart'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "version" -d 'Versions of everything that matters'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "generate" -d 'Write man pages, completions and the reference page into a folder (for packages)'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c residentctl -n "__fish_residentctl_using_subcommand status" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand status" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand status" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand status" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand calls" -l limit -d 'How many' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand calls" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand calls" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand calls" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand calls" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand calls" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand events" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand events" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand events" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand events" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand events" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand accept" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand accept" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand accept" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand accept" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand accept" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand decline" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand decline" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand decline" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand decline" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand decline" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand end" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand end" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand end" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand end" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand end" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand mute" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand mute" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand mute" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand mute" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand mute" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand key" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand key" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand key" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand key" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand key" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand statistics" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand statistics" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand statistics" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand statistics" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand statistics" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -f -a "show" -d 'The effective values, and where each came from'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -f -a "check" -d 'Every mistake of every file'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and not __fish_seen_subcommand_from show check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l changed -d 'Only what differs from the defaults'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from check" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from check" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'The effective values, and where each came from'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Every mistake of every file'
complete -c residentctl -n "__fish_residentctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c residentctl -n "__fish_residentctl_using_subcommand log-level" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand log-level" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand log-level" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand log-level" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand log-level" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand version" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand version" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand version" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand version" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand version" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand generate" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand generate" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand generate" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand generate" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand generate" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "status" -d 'Everything a glance should tell: lines, television, devices, the call, versions'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "calls" -d 'The call log, newest first'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "events" -d 'Follow what happens, one event a line, until Ctrl-C'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "accept" -d 'Answer the ringing call'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "decline" -d 'Decline the ringing call'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "end" -d 'Hang up'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "mute" -d 'Switch the microphone off or on'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "key" -d 'Press a key of the remote control, e.g. `ok` (only where `api.keys` is set)'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "statistics" -d 'The running call\'s figures'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "config" -d 'The configuration'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "log-level" -d 'How much is logged: show it, or change it until the next restart'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "version" -d 'Versions of everything that matters'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "generate" -d 'Write man pages, completions and the reference page into a folder (for packages)'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level version generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'The effective values, and where each came from'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Every mistake of every file'
