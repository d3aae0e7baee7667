# bash completion for hallpass(1). Words from the policy come from the hidden command `hallpass complete`.
_hallpass() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' sub='' name='' i
  local -a dir=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --dir) dir=(--dir "${COMP_WORDS[i+1]/#\~\//$HOME/}"); ((i++)) ;;
      --hub) ((i++)) ;;
      --config | --as | --key | --target | --reason | --ticket | --duration | --param | --not-before | --respond-by | --output | --timeout | \
        --comment | --subject | --host | --state | --since | --within | --ssh-option | --user | -[tdprocs]) ((i++)) ;;
      -*) ;;
      =) ((i++)) ;;
      *) if [ -z "$command" ]; then command=${COMP_WORDS[i]}; elif [ -z "$sub" ]; then sub=${COMP_WORDS[i]}; fi ;;
    esac
  done
  # bash takes name=value for three words.
  if [[ $cur == = ]]; then cur='' name=$prev prev=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $prev == = ]]; then name=${COMP_WORDS[COMP_CWORD-2]} prev=${COMP_WORDS[COMP_CWORD-3]}; fi
  if [[ $name == --* ]]; then prev=$name name=''; fi
  local words=''
  case $prev in
    --dir | --against) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    --config | --key | -o | --output) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --as | --subject) words=$(hallpass "${dir[@]}" complete people 2>/dev/null) ;;
    -t | --target | --host) [ -n "$name" ] || words=$(hallpass "${dir[@]}" complete hosts 2>/dev/null) ;;
    -s | --state) words="active denied ended pending revoked void" ;;
    -p | --param)
      words=$(hallpass "${dir[@]}" complete params "$sub" 2>/dev/null)
      if [ -n "$name" ]; then words=$(sed -n "s/^$name=//p" <<<"$words"); else compopt -o nospace 2>/dev/null; fi ;;
    -r | --reason | --since | --within | --ssh-option | --user | --ticket | --hub | -n | --lines | -d | --duration | --not-before | --respond-by | --timeout | -c | --comment) return ;;
    *)
      case $command in
        "") words="request approve deny revoke carry list show explain watch policy log time done host version --dir --hub --config --as --key --json --yes --no-color --verbose --help" ;;
        request)
          if [ -z "$sub" ] && [[ $cur != -* ]]; then words=$(hallpass "${dir[@]}" complete runbooks 2>/dev/null)
          else words="--target --reason --ticket --duration --param --not-before --respond-by --output --wait --timeout"; fi ;;
        approve | deny | revoke | show | explain)
          if [[ $cur == -* ]]; then
            case $command in
              approve) words="--duration --target --comment --output --yes" ;;
              deny) words="--comment --output --yes" ;;
              revoke) words="--subject --key --reason --output --yes" ;;
              explain) words="--host --json" ;;
              show) words="--json" ;;
            esac
          else words=$(hallpass "${dir[@]}" complete ids 2>/dev/null); fi ;;
        carry)
          if [[ $cur == -* ]]; then words="--ssh-option --user --json"
          elif [ -z "$sub" ]; then words=$(hallpass "${dir[@]}" complete hosts 2>/dev/null)
          else words=$(hallpass "${dir[@]}" complete ids 2>/dev/null); fi ;;
        list) words="--all --mine --state --json" ;;
        policy)
          case $sub in
            "") words="init check sign publish show" ;;
            init) words="--fleet --person --admin --threshold --presence --runbook --account --target" ;;
            check) words="--for --against --json" ;;
            sign) words="--yes --json" ;;
            publish) words="--json" ;;
            show) words="--toml --json" ;;
          esac ;;
        watch) words="--mine --json" ;;
        log)
          case $sub in
            "") words="verify prove tail" ;;
            verify) words="--full --json" ;;
            prove)
              if [[ $cur == -* ]]; then words="--output --json"
              else words=$(hallpass "${dir[@]}" complete ids 2>/dev/null); fi ;;
            tail) words="--lines --follow --json" ;;
          esac ;;
        time) words="--json" ;;
        done) words="--yes" ;;
        host)
          case $sub in
            "") words="status check sessions end observed enable confirm disable activation self-test clock ledger" ;;
            status | check | sessions) words="--json" ;;
            end)
              if [[ $cur == -* ]]; then words="--reason"
              else words=$(hallpass host sessions 2>/dev/null | awk 'NR > 1 { print $1 }'); fi ;;
            observed) words="--since --json" ;;
            enable) words="--observe --sudo --within --dry-run --no-exempt" ;;
            disable) words="--sudo" ;;
            activation) words="--json" ;;
            self-test) words="--observe --sudo" ;;
            clock) words="accept" ;;
            ledger) words="reset" ;;
          esac ;;
      esac ;;
  esac
  # Not compgen -W: it expands its words, $(commands) in them too, and they come from files that others may write.
  local -a all
  local word
  mapfile -t all <<<"${words// /$'\n'}"
  COMPREPLY=()
  for word in "${all[@]}"; do
    if [[ -n $word && $word == "$cur"* && $word != *[!A-Za-z0-9._:=,/@+%-]* ]]; then COMPREPLY+=("$word"); fi
  done
}
complete -o default -F _hallpass hallpass
