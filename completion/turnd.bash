# Bash completion for turnd. A test compares its options with those of the program.
_turnd() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  local options="
    --help --version --config= --no-config --check-config --json --state-dir= --listening-ip=
    --listening-port= --tls-listening-port= --alt-listening-port= --alt-tls-listening-port= --aux-server=
    --tcp-proxy-port= --proxy-protocol --listening-device= --sock-buf-size= --no-udp --no-tcp --no-tls
    --dtls --no-dtls --drop-invalid-packets-log --udp-recvmmsg-log --udp-sendmmsg-log --cert= --pkey=
    --pkey-pwd= --cipher-list= --CA-file= --ec-curve-name= --dh-file= --dh566 --dh1066 --dh2066 --tlsv1
    --tlsv1_1 --no-tlsv1 --no-tlsv1_1 --no-tlsv1_2 --certificate-watch --sni-turn= --tls-backend=
    --http-backend= --backend-proxy-protocol --acme-redirect= --respond-http-unsupported --relay-ip=
    --relay-device= --external-ip= --min-port= --max-port= --no-udp-relay --no-tcp-relay
    --allocation-default-address-family= --keep-address-family --rfc5766-channel-numbers
    --rfc8656-channel-numbers --mobility --server-relay --alternate-server= --udp-alternate-server=
    --tcp-alternate-server= --tls-alternate-server= --udp-self-balance --max-allocate-lifetime=
    --channel-lifetime= --permission-lifetime= --max-permissions= --max-channels= --max-tcp-connections=
    --max-allocate-timeout= --max-connections= --max-connections-per-ip= --max-half-open=
    --max-dtls-handshakes= --stream-queue= --user-quota= --total-quota= --max-bps= --bandwidth-burst=
    --bps-capacity= --denied-peer-ip= --allowed-peer-ip= --only-peer-ip= --no-private-peers
    --no-multicast-peers --allow-loopback-peers --realm= --lt-cred-mech --user= --use-auth-secret
    --static-auth-secret= --rest-api-separator= --no-auth --secure-stun --stale-nonce
    --stateless-nonce-secret= --unauthorized-ratelimit --unauthorized-ratelimit-rps= --oauth --oauth-key=
    --server-name= --origin-realm= --realm-user= --realm-option= --check-origin-consistency --fingerprint
    --software-attribute --no-software-attribute --prod --include-reason-string --no-stun --stun-only
    --rfc5780 --no-rfc5780 --stun-backward-compatibility --no-stun-backward-compatibility
    --rfc3489-compatibility --verbose --Verbose --log-min-level= --log-file= --no-stdout-log --syslog
    --syslog-facility= --log-format= --new-log-timestamp --new-log-timestamp-format= --log-anonymize
    --log-binding --daemon --pidfile= --proc-user= --proc-group= --relay-threads= --cpus=
    --drain-min-allocations= --drain-timeout=
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
    -c | --config | -l | --log-file | --pidfile | --cert | --pkey | --CA-file | --dh-file) COMPREPLY=($(compgen -f -- "$value")) ;;
    --state-dir) COMPREPLY=($(compgen -d -- "$value")) ;;
    --proc-user) COMPREPLY=($(compgen -u -- "$value")) ;;
    --proc-group) COMPREPLY=($(compgen -g -- "$value")) ;;
    --log-min-level) COMPREPLY=($(compgen -W "debug info warning error" -- "$value")) ;;
    --log-format) COMPREPLY=($(compgen -W "native json coturn coturn-4.6 coturn-4.5" -- "$value")) ;;
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
complete -F _turnd turnd turnserver
