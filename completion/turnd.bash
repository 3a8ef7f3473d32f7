# Bash completion for turnd. A test compares its options with those of the program.
_turnd() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  local options="
    --help --version --config= --no-config --check-config --state-dir= --listening-ip= --listening-port=
    --listening-device= --sock-buf-size= --relay-ip= --relay-device= --external-ip= --min-port= --max-port=
    --no-udp-relay --no-tcp-relay --allocation-default-address-family= --keep-address-family
    --rfc5766-channel-numbers --rfc8656-channel-numbers --realm= --lt-cred-mech --user= --use-auth-secret
    --static-auth-secret= --rest-api-separator= --no-auth --stale-nonce --stateless-nonce-secret=
    --max-allocate-lifetime= --channel-lifetime= --permission-lifetime= --max-permissions= --max-channels=
    --user-quota= --total-quota= --max-bps= --bps-capacity= --denied-peer-ip= --allowed-peer-ip=
    --only-peer-ip= --no-private-peers --no-multicast-peers --allow-loopback-peers --fingerprint
    --software-attribute --no-software-attribute --no-stun --stun-only --verbose --Verbose --log-min-level=
    --log-file= --no-stdout-log --syslog --syslog-facility= --new-log-timestamp-format= --daemon --pidfile=
    --proc-user= --proc-group= --relay-threads= --cpus=
  "
  local name=$prev value=$cur
  case $cur in
    --*=*)
      name=${cur%%=*}
      value=${cur#*=}
      ;;
    =) value= ;; # bash makes '=' a word of its own
  esac
  if [[ $prev == = ]]; then name=${COMP_WORDS[COMP_CWORD - 2]}; fi
  case $name in
    -c | --config | -l | --log-file | --pidfile) COMPREPLY=($(compgen -f -- "$value")) ;;
    --state-dir) COMPREPLY=($(compgen -d -- "$value")) ;;
    --proc-user) COMPREPLY=($(compgen -u -- "$value")) ;;
    --proc-group) COMPREPLY=($(compgen -g -- "$value")) ;;
    --log-min-level) COMPREPLY=($(compgen -W "debug info warning error" -- "$value")) ;;
    -A | --allocation-default-address-family) COMPREPLY=($(compgen -W "ipv4 ipv6 keep" -- "$value")) ;;
    -X | --external-ip) COMPREPLY=($(compgen -W "auto" -- "$value")) ;;
    *)
      COMPREPLY=($(compgen -W "$options" -- "$cur"))
      if [[ ${COMPREPLY[*]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
      return
      ;;
  esac
  if [[ $cur == --*=* ]]; then COMPREPLY=("${COMPREPLY[@]/#/${cur%%=*}=}"); fi
}
complete -F _turnd turnd
