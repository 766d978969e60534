"""Completion of the command line in bash, zsh and fish: a script that knows each command, its options and choices.

Law: the script is made from the parsers' own tables, so it offers what there is and nothing else. Names of sworms,
nodes and processes are asked of the control plane when somebody presses the key; without one nothing is offered. A
shell expands what it is offered, and a process may be called `$(reboot)`: only names that mean themselves are offered.
"""

from __future__ import annotations

from swormweb.cli import elsewhere, verbs
from swormweb.cli.common import Argument

SHELLS = ("bash", "zsh", "fish")

#: Characters that mean themselves in all of them, as a bracket expression.
PLAIN = "A-Za-z0-9_.:@%+=,/-"

#: Options of the commands that are no verbs.
OWN = {"up": ("--agents", "--port", "--data", "--empty", "--detach"), "down": ("--data", "--now"), "completion": SHELLS}

#: Option or argument -> the verb that lists its values, and the field.
ASKED = {"sworm": "sworm", "--sworm": "sworm", "node": "node", "--node": "node", "--to": "node", "name": "name"}

_HEAD = """# Completion for ./sworm: eval "$(./sworm completion {shell})"
"""

_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"

_BODY = """_sworm_asked() {{
  case "$1" in
    node) "$2" nodes --json 2>/dev/null | grep -o '"name": "[{plain}]*"' | cut -d'"' -f4 ;;
    sworm) "$2" ps --json 2>/dev/null | grep -o '"sworm": "[{plain}]*"' | cut -d'"' -f4 | sort -u ;;
    name) "$2" ps "$3" --json 2>/dev/null | grep -o '"name": "[{plain}]*"' | cut -d'"' -f4 ;;
  esac
}}
_sworm() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{commands}"
  else
    case "${{COMP_WORDS[1]}} $before" in
{values}    *)
      case "${{COMP_WORDS[1]}}" in
{options}      esac ;;
    esac
  fi
  COMPREPLY=( $(compgen -W "$words" -- "$word") )
}}
complete -o default -F _sworm sworm ./sworm
"""


_FISH = """# Completion for ./sworm: ./sworm completion fish | source
function _sworm_asked
  set -l words (commandline -opc)
  switch $argv[1]
    case node; $words[1] nodes --json 2>/dev/null | string match -rag '"name": "([{plain}]*)"'
    case sworm; $words[1] ps --json 2>/dev/null | string match -rag '"sworm": "([{plain}]*)"' | sort -u
    case name; $words[1] ps $words[3] --json 2>/dev/null | string match -rag '"name": "([{plain}]*)"'
  end
end
function _sworm_at
  set -l words (commandline -opc)
  test (count $words) -eq $argv[2]; and test "$words[2]" = $argv[1]
end
complete -c sworm -f -n "test (count (commandline -opc)) -eq 1" -a "{commands}"
"""


def script(shell: str) -> str:
    """The script for one of `SHELLS`."""
    if shell == "fish":
        return _fish()
    names = sorted({*OWN, *elsewhere.COMMANDS, *verbs.VERBS})
    body = _BODY.format(plain=PLAIN, commands=" ".join(names), values="".join(_values()), options="".join(_options()))
    return _HEAD.format(shell=shell) + (_ZSH if shell == "zsh" else "") + body


def _fish() -> str:
    names = sorted({*OWN, *elsewhere.COMMANDS, *verbs.VERBS})
    lines = [_FISH.format(plain=PLAIN, commands=" ".join(names))]
    for command, words in OWN.items():
        lines.append(f'complete -c sworm -f -n "__fish_seen_subcommand_from {command}" -a "{" ".join(words)}"\n')
    for verb, (_, arguments) in verbs.VERBS.items():
        seen = f'complete -c sworm -f -n "__fish_seen_subcommand_from {verb}"'
        lines.extend(f"{seen} -l {word[2:]}{_fish_value(arguments, word)}\n" for word in _named(arguments))
        places = [one.name for one in arguments if not one.name.startswith("--")]
        lines.extend(
            f'complete -c sworm -f -n "_sworm_at {verb} {place + 2}" -a "(_sworm_asked {ASKED[name]})"\n'
            for place, name in enumerate(places)
            if name in ASKED
        )
    return "".join(lines)


def _fish_value(arguments: tuple[Argument, ...], word: str) -> str:
    """What fish offers after an option: names that are asked for, its choices, or nothing when it takes no value."""
    more = next((one.more for one in arguments if one.name == word), {})
    if word in ASKED:
        return f' -x -a "(_sworm_asked {ASKED[word]})"'
    if "choices" in more:
        return f' -x -a "{" ".join(more["choices"])}"'
    takes_none = word in ("--json", "--help") or more.get("action") == "store_true"
    return "" if takes_none else " -r"


def _options() -> list[str]:
    given = {**OWN, **{verb: _named(arguments) for verb, (_, arguments) in verbs.VERBS.items()}}
    return [f'      {verb}) words="{" ".join(words)}"{_first(verb)} ;;\n' for verb, words in given.items()]


def _named(arguments: tuple[Argument, ...]) -> tuple[str, ...]:
    return (*(one.name for one in arguments if one.name.startswith("--")), "--json", "--data", "--help")


def _first(verb: str) -> str:
    """What fills the arguments of a verb that have no option's name."""
    arguments = verbs.VERBS[verb][1] if verb in verbs.VERBS else ()
    places = [one.name for one in arguments if not one.name.startswith("--")]
    asked = [
        f' [ "$COMP_CWORD" -eq {place + 2} ] && words="$words $(_sworm_asked {ASKED[name]} "$1" "${{COMP_WORDS[2]}}")";'
        for place, name in enumerate(places)
        if name in ASKED
    ]
    return ";" + "".join(asked) + " true" if asked else ""


def _values() -> list[str]:
    """What follows an option: its choices, or names that are asked for."""
    lines = []
    for verb, (_, arguments) in verbs.VERBS.items():
        for one in arguments:
            if one.name in ASKED and one.name.startswith("--"):
                lines.append(f'    "{verb} {one.name}") words="$(_sworm_asked {ASKED[one.name]} "$1")" ;;\n')
            elif one.name.startswith("--") and "choices" in one.more:
                lines.append(f'    "{verb} {one.name}") words="{" ".join(one.more["choices"])}" ;;\n')
    return lines
