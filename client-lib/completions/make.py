#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make.py PROGRAM BASH_FILE ZSH_FILE: completions of a program, made of what its --help prints,
which in turn is the table its parser reads. Nothing is listed a second time here but what the
names of values stand for."""
import pathlib
import re
import subprocess
import sys

# What to offer for a value, by the name that --help gives it.
FILES, FOLDERS, AT_FILES, DEVICES = "files", "folders", "files behind an @", "network devices"
OFFERS = {"FILE": FILES, "DIR": FOLDERS, "DATA": AT_FILES, "PART": AT_FILES, "LINE": AT_FILES,
          "FORMAT": AT_FILES}
OFFERS_OF_FLAG = {"--interface": DEVICES, "--socket": FILES}

FLAG = re.compile(r"^ +(?:(-.), )?(--[\w.-]+)(?: ([A-Z][\w:,-]*)|\[=(\w+)\])?(?:\n? +(\S.*))?$", re.M)
COMMAND = re.compile(r"^  ([a-z][a-z -]*?)(?: ([A-Z\[].*?))?  +(\S.*)$", re.M)


class Flag:
    def __init__(self, letter, name, value, optional, text):
        self.letter, self.name, self.value = letter, name, value or optional
        self.is_optional, self.text = bool(optional), text
        self.offer = OFFERS_OF_FLAG.get(name, OFFERS.get(self.value)) if self.value else None
        self.words = [word for word in (letter, name) if word]


def help_of(program):
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout


def flags_of(text):
    return [Flag(*found) for found in FLAG.findall(text)]


def commands_of(text):
    """{first word: {second word: help}}; a command of one word has {}. The rest of a longer one
    ("top", "policy check URL") is not completed."""
    found = {}
    section = re.search(r"^Commands:\n(.*?)\n\n", text, re.M | re.S)
    for words, _, help_text in COMMAND.findall(section[1] + "\n" if section else ""):
        first, *more = words.split()
        found.setdefault(first, {}).update({more[0]: help_text} if more else {})
    return found


# ---- bash

BASH = """\
# SPDX-License-Identifier: MIT
# bash completion of {name}(1), made of its --help
_{name}()
{{
    local cur prev words cword
    _init_completion -n '=:@' || return

{joined}    case $prev in
{values}    esac
    case $cur in
{optional}        -*)
            COMPREPLY=($(compgen -W '{words}' -- "$cur"))
            [[ ${{COMPREPLY-}} == *= ]] && compopt -o nospace
            return
            ;;
    esac
{commands}}} &&
    complete -F _{name} {name}
"""

BASH_OFFERS = {
    FILES: "_filedir",
    FOLDERS: "_filedir -d",
    AT_FILES: "[[ $cur == @* ]] && COMPREPLY=($(compgen -P @ -f -- \"${cur#@}\"))",
    DEVICES: "_available_interfaces -a",
    None: ":",
}


def bash_joined(flags):
    """"-sSo": the value belongs to the last letter when those before it take none."""
    switches, valued = ("".join(f.letter[1] for f in flags if f.letter and bool(f.value) == is_valued)
                        for is_valued in (False, True))
    if not valued:
        return ""
    return (f"    local joined='^-[{switches}]+[{valued}]$'\n"
            "    [[ $prev =~ $joined ]] && prev=-${prev: -1}\n")


def bash_values(flags):
    for offer, action in BASH_OFFERS.items():
        words = [word for flag in flags if flag.value and not flag.is_optional
                 and flag.offer == offer for word in flag.words]
        if words:
            yield f"        {' | '.join(words)})\n            {action}\n            return\n            ;;\n"


def bash_optional(flags):
    for flag in flags:
        if flag.is_optional:
            yield (f"        {flag.name}=*)\n            cur=${{cur#*=}}\n"
                   f"            {BASH_OFFERS[flag.offer]}\n            return\n            ;;\n")


def bash_commands(commands, flags):
    if not commands:
        return ""
    takes_value = "|".join(word for flag in flags if flag.value and not flag.is_optional
                           for word in flag.words)
    lines = ["    local word before= given=()",
             "    for word in \"${words[@]:1:cword-1}\"; do",
             f"        [[ $word != -* && ! $before =~ ^({takes_value})$ ]] && given+=(\"$word\")",
             "        before=$word", "    done",
             "    case \"${given[*]}\" in",
             f"        '') COMPREPLY=($(compgen -W '{' '.join(commands)}' -- \"$cur\")) ;;"]
    for first, more in commands.items():
        if more:
            lines.append(f"        {first}) COMPREPLY=($(compgen -W '{' '.join(more)}' -- \"$cur\")) ;;")
    return "\n".join([*lines, "    esac", ""])


def bash(name, flags, commands):
    words = [flag.name + ("=" if flag.is_optional else "") for flag in flags]
    words += [flag.name for flag in flags if flag.is_optional] + [f.letter for f in flags if f.letter]
    return BASH.format(name=name, joined=bash_joined(flags), values="".join(bash_values(flags)),
                       optional="".join(bash_optional(flags)), words=" ".join(sorted(words)),
                       commands=bash_commands(commands, flags))


# ---- zsh

ZSH_OFFERS = {FILES: "_files", FOLDERS: "_files -/", AT_FILES: "{compset -P @ && _files}",
              DEVICES: "_net_interfaces", None: " "}


def zsh_text(text):
    """For a description in single quotes, inside brackets."""
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def zsh_flag(flag):
    value = ""
    if flag.value:
        value = f":{zsh_text(flag.value)}:{ZSH_OFFERS[flag.offer]}"
    text = f"[{zsh_text(flag.text)}]"
    if flag.is_optional:
        return f"'*{flag.name}=-{text}:{value}'"
    if not flag.letter:
        return f"'*{flag.name}{text}{value}'"
    letter = flag.letter + ("+" if flag.value else "")
    return f"'*'{{{letter},{flag.name}}}'{text}{value}'"


def zsh_commands(commands):
    """What stands behind the flags, and the function it calls."""
    if not commands:
        return "'*:URL:_urls'", ""
    lines = ["    [[ $state == second ]] || return", "    local -a words", "    case $line[1] in"]
    for first, more in commands.items():
        if more:
            told = " ".join(f"'{word}:{zsh_text(text)}'" for word, text in more.items())
            lines.append(f"        {first})\n            words=({told})\n"
                         f"            _describe -t commands '{first}' words\n            ;;")
    return (f"'1:command:({' '.join(commands)})' '2: :->second' '*: : '",
            "\n".join([*lines, "    esac", ""]))


def zsh(name, flags, commands):
    rest, more = zsh_commands(commands)
    specs = " \\\n        ".join([*map(zsh_flag, flags), rest])
    return (f"#compdef {name}\n# SPDX-License-Identifier: MIT\n"
            f"# zsh completion of {name}(1), made of its --help\n"
            f"_{name}() {{\n    local context state state_descr line\n    typeset -A opt_args\n"
            f"    _arguments -s -S \\\n        {specs} && return\n{more}}}\n\n_{name} \"$@\"\n")


def main():
    program, bash_file, zsh_file = map(pathlib.Path, sys.argv[1:4])
    text = help_of(program)
    flags, commands = flags_of(text), commands_of(text)
    if not flags:
        sys.exit(f"{program} --help shows no flag")
    bash_file.write_text(bash(program.name, flags, commands))
    zsh_file.write_text(zsh(program.name, flags, commands))


if __name__ == "__main__":
    main()
