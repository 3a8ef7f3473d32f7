# Bash completion for turn-probe. A test compares the option lists with what the program takes.
_turn_probe() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word options="" command=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      listen | port | stun | nat | load)
        command=$word
        break
        ;;
    esac
  done
  case $command in
    listen) options="--udp --tcp --bind --for --json --help" ;;
    port) options="--udp --tcp --ipv4 --ipv6 --count --interval --wait --json --help" ;;
    stun)
      options="--transport --ipv4 --ipv6 --count --interval --fast --patient --local --attributes --ca-file --insecure --json --help"
      ;;
    nat) options="--ipv4 --ipv6 --local --lifetime --hairpin --json --quiet --help" ;;
    load)
      options="--user --password --secret --algorithms --allocations --peers --peer-address --local-address --parallel"
      options+=" --direction --size --run --no-segment --rate --window --profile --calls --for --warm-up --server-pid --max-loss"
      options+=" --json --quiet --help"
      ;;
    *) options="listen port stun nat load --help --version" ;;
  esac
  case $previous in
    --algorithms) options="best sha256 legacy" ;;
    --transport) options="udp tcp tls dtls all" ;;
    --ca-file)
      mapfile -t COMPREPLY < <(compgen -A file -- "$current")
      return
      ;;
    --direction) options="up down both echo" ;;
    --profile) options="list $(turn-probe load --profile list 2>/dev/null | awk '/^  [0-9]/ {print $1}')" ;;
    --server-pid)
      mapfile -t COMPREPLY < <(compgen -W "$(pidof turnd turnserver 2>/dev/null)" -- "$current")
      return
      ;;
  esac
  if [[ $command == port || $command == stun || $command == nat || $command == load ]] && [[ $current != -* && $previous == "$command" ]]; then
    mapfile -t COMPREPLY < <(compgen -A hostname -- "$current")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
}
complete -F _turn_probe turn-probe
