"""Shell completion: Click's, extended to words that shells split, such as `-p padding=same`.

bash splits `padding=same` into three words and replaces only the last. bash and zsh add a space after a word, but
`padding=` is not complete. fish would cut descriptions at their commas. So each of them gets its own script.
"""

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

CUTS = "=:"
"""The characters of our words at which bash splits them."""

_BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *[=:] ]] && compopt -o nospace ;;
        esac
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = r"""#compdef %(prog_name)s

%(complete_func)s() {
    local kind value text
    local -a open closed
    while IFS= read -r kind && IFS= read -r value && IFS= read -r text; do
        case $kind in
            file)
                [[ $PREFIX == -*=* ]] && compset -P '*='
                _files ;;
            dir) _files -/ ;;
            plain)
                if [[ $value == *[=:] ]]; then open+=("$value:$text"); else closed+=("$value:$text"); fi ;;
        esac
    done < <(env COMP_WORDS="${(j: :)words}" COMP_CWORD=$((CURRENT - 1)) %(complete_var)s=zsh_complete %(prog_name)s)
    (( $#closed )) && _describe -V values closed -U
    (( $#open )) && _describe -V names open -U -S ''
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


_FISH = r"""
function %(complete_func)s
    set -lx COMP_WORDS (commandline -cp)
    set -lx COMP_CWORD (commandline -t)
    for each in (env %(complete_var)s=fish_complete %(prog_name)s)
        set -l parts (string split --max 1 "," -- $each)
        switch $parts[1]
            case file
                __fish_complete_path $parts[2]
            case dir
                __fish_complete_directories $parts[2]
            case plain
                echo $parts[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Words(ShellComplete):
    """Completions that are complete words: Click leaves out a `--method=` that was typed."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        option, equals, _ = incomplete.partition("=")
        items = super().get_completions(args, incomplete)
        for item in items:
            if equals and option.startswith("-") and item.type == "plain":
                item.value = f"{option}={item.value}"
        return items


class Bash(_Words, BashComplete):
    """bash: join its pieces to words, and return what its last piece becomes."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        args, piece = super().get_completion_args()
        *args, word = joined([*args, piece])
        self._fixed = word if _is_cut(piece) else word.removesuffix(piece)
        return args, word

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        items = super().get_completions(args, incomplete)
        for item in items:
            item.value = item.value.removeprefix(self._fixed)
        return items


class Zsh(_Words, ZshComplete):
    """zsh: its script knows which words continue."""

    source_template = _ZSH


class Fish(_Words, FishComplete):
    """fish: its script keeps commas in descriptions."""

    source_template = _FISH


def joined(pieces: list[str]) -> list[str]:
    """Return the words that bash has split into pieces. An empty piece begins a new word.

    >>> joined(["-p", "padding", "=", "sa"]), joined(["-m", "lanczos", ":", "a", "=", ""])
    (['-p', 'padding=sa'], ['-m', 'lanczos:a=', ''])
    """
    words: list[str] = []
    goes_on = False
    for piece in pieces:
        if words and piece and (goes_on or _is_cut(piece)):
            words[-1] += piece
        else:
            words.append(piece)
        goes_on = _is_cut(piece)
    return words


def _is_cut(piece: str) -> bool:
    return piece != "" and set(piece) <= set(CUTS)


def install() -> None:
    """Make Click take the scripts of this module."""
    for kind in (Bash, Zsh, Fish):
        add_completion_class(kind)
