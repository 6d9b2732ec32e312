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
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "provision" -d 'Make this box a resident\'s: check the account at the platform, write credential and configuration, restart'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "doctor" -d 'Check everything a call needs, and say what to do where something is not well. Takes under a minute'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "test" -d 'Look at one part more closely'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "bugreport" -d 'Collect everything that helps somebody far away into one archive, without secrets and names'
complete -c residentctl -n "__fish_residentctl_needs_command" -f -a "devices" -d 'Cameras, microphones, loudspeakers, HDMI-CEC adapters, displays and remote controls, by the names that belong into the configuration'
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
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l file -d 'A file with everything (TOML): settings, and at its top `username` with `password`, or `token`' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l platform -d 'The platform' -r -f -a "chatta\t''"
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l api -d 'The platform\'s REST API, e.g. https://api.caremessenger.co.uk' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l pusher -d 'The platform\'s Pusher server, e.g. wss://ws-eu.pusher.com' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l key -d 'The public key of its Pusher application' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l rooms -d 'The room signalling' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l user -d 'The resident\'s user name. Asked for on a terminal when nothing else is given' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l password-file -d 'File with the password; `-` reads it from standard input. Asked for on a terminal' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l token-file -d 'File with a ready token instead; `-` reads it from standard input' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l root -d 'Write below this folder instead of `/`: into an image. Nothing is restarted' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l no-check -d 'Do not ask the platform first'
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l no-restart -d 'Do not restart the daemon'
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand provision" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c residentctl -n "__fish_residentctl_using_subcommand doctor" -l only -d 'Only this check (may be given more than once)' -r -f -a "configuration\t''
daemon\t''
unit\t''
versions\t''
clock\t''
disk\t''
memory\t''
dns\t''
rest\t''
pusher\t''
rooms\t''
stun\t''
turn-udp\t''
turn-tcp\t''
turn-tls\t''
bandwidth\t''
gstreamer\t''
camera\t''
microphone\t''
speaker\t''
display\t''
cec\t''
keys\t''"
complete -c residentctl -n "__fish_residentctl_using_subcommand doctor" -l skip -d 'Without this check (may be given more than once)' -r -f -a "configuration\t''
daemon\t''
unit\t''
versions\t''
clock\t''
disk\t''
memory\t''
dns\t''
rest\t''
pusher\t''
rooms\t''
stun\t''
turn-udp\t''
turn-tcp\t''
turn-tls\t''
bandwidth\t''
gstreamer\t''
camera\t''
microphone\t''
speaker\t''
display\t''
cec\t''
keys\t''"
complete -c residentctl -n "__fish_residentctl_using_subcommand doctor" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand doctor" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand doctor" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand doctor" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -f -a "camera" -d 'Open the camera: pictures a second, light. Its light goes on for some seconds'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -f -a "microphone" -d 'Listen to the microphone: its level'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -f -a "speaker" -d 'Play half a second of soft noise, and listen for it with the microphone: is it heard, and how late'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -f -a "screen" -d 'Show colour bars, then say what is known of display and television'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -f -a "call" -d 'Call the box with itself through the platform\'s relay, and report how the call was'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and not __fish_seen_subcommand_from camera microphone speaker screen call help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from camera" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from camera" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from camera" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from camera" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from camera" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from microphone" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from microphone" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from microphone" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from microphone" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from microphone" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from speaker" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from speaker" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from speaker" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from speaker" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from speaker" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from screen" -l seconds -d 'How long, in seconds' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from screen" -l picture -d 'Instead, write a picture of every screen that a resident may see into this folder, as PNG: no television is needed' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from screen" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from screen" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from screen" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from screen" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from screen" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l seconds -d 'How long, in seconds' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l caller -d 'A caller\'s account at the platform: the call goes through a room, as a caller\'s would' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l caller-password-file -d 'File with the caller\'s password' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l devices -d 'Use the box\'s own camera and microphone instead of test picture and test tone'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l local -d 'Do without the relay: the media stays in this box. Says what the box itself can do'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from call" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from help" -f -a "camera" -d 'Open the camera: pictures a second, light. Its light goes on for some seconds'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from help" -f -a "microphone" -d 'Listen to the microphone: its level'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from help" -f -a "speaker" -d 'Play half a second of soft noise, and listen for it with the microphone: is it heard, and how late'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from help" -f -a "screen" -d 'Show colour bars, then say what is known of display and television'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from help" -f -a "call" -d 'Call the box with itself through the platform\'s relay, and report how the call was'
complete -c residentctl -n "__fish_residentctl_using_subcommand test; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c residentctl -n "__fish_residentctl_using_subcommand bugreport" -l output -d 'The archive [default: in the folder for temporary files]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand bugreport" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand bugreport" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand bugreport" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand bugreport" -l devices -d 'Open camera, microphone and speaker for it, too'
complete -c residentctl -n "__fish_residentctl_using_subcommand bugreport" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand bugreport" -s h -l help -d 'Print help'
complete -c residentctl -n "__fish_residentctl_using_subcommand devices" -l socket -d 'The daemon\'s socket [default: as the configuration says, else /run/residentd/residentd.sock]' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand devices" -l config -d 'Read only this configuration file instead of the system\'s places' -r -F
complete -c residentctl -n "__fish_residentctl_using_subcommand devices" -l set -d 'Set one value over all files, e.g. `--set media.camera=none`' -r
complete -c residentctl -n "__fish_residentctl_using_subcommand devices" -l json -d 'Print JSON instead of text'
complete -c residentctl -n "__fish_residentctl_using_subcommand devices" -s h -l help -d 'Print help'
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
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "status" -d 'Everything a glance should tell: lines, television, devices, the call, versions'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "calls" -d 'The call log, newest first'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "events" -d 'Follow what happens, one event a line, until Ctrl-C'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "accept" -d 'Answer the ringing call'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "decline" -d 'Decline the ringing call'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "end" -d 'Hang up'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "mute" -d 'Switch the microphone off or on'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "key" -d 'Press a key of the remote control, e.g. `ok` (only where `api.keys` is set)'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "statistics" -d 'The running call\'s figures'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "config" -d 'The configuration'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "log-level" -d 'How much is logged: show it, or change it until the next restart'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "provision" -d 'Make this box a resident\'s: check the account at the platform, write credential and configuration, restart'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "doctor" -d 'Check everything a call needs, and say what to do where something is not well. Takes under a minute'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "test" -d 'Look at one part more closely'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "bugreport" -d 'Collect everything that helps somebody far away into one archive, without secrets and names'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "devices" -d 'Cameras, microphones, loudspeakers, HDMI-CEC adapters, displays and remote controls, by the names that belong into the configuration'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "version" -d 'Versions of everything that matters'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "generate" -d 'Write man pages, completions and the reference page into a folder (for packages)'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and not __fish_seen_subcommand_from status calls events accept decline end mute key statistics config log-level provision doctor test bugreport devices version generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'The effective values, and where each came from'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Every mistake of every file'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from test" -f -a "camera" -d 'Open the camera: pictures a second, light. Its light goes on for some seconds'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from test" -f -a "microphone" -d 'Listen to the microphone: its level'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from test" -f -a "speaker" -d 'Play half a second of soft noise, and listen for it with the microphone: is it heard, and how late'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from test" -f -a "screen" -d 'Show colour bars, then say what is known of display and television'
complete -c residentctl -n "__fish_residentctl_using_subcommand help; and __fish_seen_subcommand_from test" -f -a "call" -d 'Call the box with itself through the platform\'s relay, and report how the call was'
