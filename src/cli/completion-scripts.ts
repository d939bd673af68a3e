/** What a shell runs to complete a command line of `sluice`: it asks the command, which knows its own tree. */

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** `sluice complete` prints this line where paths fit. */
export const pathsMark = ':paths';

/**
 * The words are cut from the line anew: bash has cut them at `:` and `=` as well, which stand in addresses and flags. What
 * it replaces is only what follows the last of those, so that is what it is given.
 */
const bash = `# bash completion of sluice: eval "$(sluice completion bash)"
_sluice() {
  local line="\${COMP_LINE:0:COMP_POINT}" current="\${COMP_WORDS[COMP_CWORD]}" words whole value
  read -ra words <<< "$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  whole="\${words[\${#words[@]}-1]}"
  [[ "$current" == [:=] ]] && current=""
  COMPREPLY=()
  while IFS=$'\\t' read -r value _; do
    if [[ "$value" == "${pathsMark}" ]]; then
      while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "$current")
    else
      COMPREPLY+=("\${value:\${#whole}-\${#current}}")
    fi
  done < <(command sluice complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o filenames -F _sluice sluice
`;

const zsh = `#compdef sluice
# zsh completion of sluice: source <(sluice completion zsh), after compinit
_sluice() {
  local -a found
  local line value
  for line in "\${(@f)$(command sluice complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    value="\${line%%$'\\t'*}"
    if [[ "$value" == "${pathsMark}" ]]; then
      _files
    elif [[ -n "$value" ]]; then
      found+=("\${value//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( \${#found} )) && _describe sluice found
}
if [[ "$funcstack[1]" == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi
`;

const fish = `# fish completion of sluice: sluice completion fish | source
function __sluice_complete
  set -l words (commandline -opc)
  for line in (command sluice complete -- $words[2..] (commandline -ct) 2>/dev/null)
    if test "$line" = "${pathsMark}"
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c sluice -f -a '(__sluice_complete)'
`;

export const completionScripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };
